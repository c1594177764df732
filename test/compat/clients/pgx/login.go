package main

import (
	"fmt"
	neturl "net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// pgx logs in: TLS required and verified, by SSLRequest and directly, SCRAM with and without channel binding, and what is refused.
// Arguments: the server that takes both, the one that wants TLS (host:port), the certificate, another's certificate.
func login(either, strict, certificate, foreign string) {
	const password = "b's"
	who := func(address, password, parameters string) (string, error) {
		at := neturl.URL{Scheme: "postgresql", User: neturl.UserPassword("driver", password), Host: address, Path: "arka", RawQuery: parameters}
		connection, err := pgx.Connect(ctx, at.String())
		if err != nil {
			return "", err
		}
		defer connection.Close(ctx)
		var name string
		err = connection.QueryRow(ctx, "SELECT current_user").Scan(&name)
		return name, err
	}
	refused := func(text, address, password, parameters string) {
		_, err := who(address, password, parameters)
		if err == nil || !strings.Contains(err.Error(), text) {
			panic(fmt.Sprintf("%q is not in %v", text, err))
		}
	}
	verified := "sslmode=verify-full&sslrootcert=" + certificate
	fmt.Println("client drivers of Go " + version())
	check("pgx", func() error {
		for _, negotiation := range []string{"postgres", "direct"} {
			more := "&sslnegotiation=" + negotiation
			same(value(who(strict, password, "sslmode=require"+more)), "driver")
			for _, binding := range []string{"prefer", "require", "disable"} {
				same(value(who(strict, password, verified+more+"&channel_binding="+binding)), "driver")
			}
		}
		same(value(who(either, password, "sslmode=prefer")), "driver")
		same(value(who(either, password, "sslmode=disable")), "driver")
		refused("28000", strict, password, "sslmode=disable")
		refused("channel binding", either, password, "sslmode=disable&channel_binding=require")
		refused("certificate", either, password, "sslmode=verify-full&sslrootcert="+foreign)
		refused("28P01", strict, "wrong", verified)
		return nil
	})
}
