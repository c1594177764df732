// pgx: binary both ways, statement caches and the other query modes, batches, pipelines, COPY, pools, database/sql, cancel, notifications.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
)

var (
	url    = os.Getenv("COMPAT_URL")
	schema = os.Getenv("COMPAT_SCHEMA")
	ctx    = context.Background()
)

func check(name string, run func() error) {
	err := func() (err error) {
		defer func() {
			if caught := recover(); caught != nil {
				err = fmt.Errorf("%v", caught)
			}
		}()
		return run()
	}()
	if err == nil {
		fmt.Println("ok " + name)
		return
	}
	fmt.Printf("not ok %s: %.600s\n", name, strings.Join(strings.Fields(err.Error()), " "))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func value[T any](got T, err error) T {
	must(err)
	return got
}

func same(got, expected any) {
	if !reflect.DeepEqual(got, expected) {
		panic(fmt.Sprintf("got %#v, expected %#v", got, expected))
	}
}

func fails(err error, state string) *pgconn.PgError {
	var failure *pgconn.PgError
	if !errors.As(err, &failure) {
		panic(fmt.Sprintf("%s was expected, got %v", state, err))
	}
	same(failure.Code, state)
	return failure
}

func connect(mode pgx.QueryExecMode) *pgx.Conn {
	config := value(pgx.ParseConfig(url))
	config.RuntimeParams["search_path"] = schema
	config.RuntimeParams["timezone"] = "UTC"
	config.DefaultQueryExecMode = mode
	return value(pgx.ConnectConfig(ctx, config))
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/jackc/pgx/v5" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "0"
}

type typed struct {
	I2      int16
	I4      int32
	I8      int64
	F4      float32
	F8      float64
	Num     string
	Flag    bool
	Txt     string
	Vc      string
	Bc      string
	Raw     []byte
	Day     time.Time
	Clock   pgtype.Time
	Local   time.Time
	Instant time.Time
	Uid     [16]byte
	Jb      map[string]any
	Ints    []*int32
	Texts   []*string
}

func of[T any](it T) *T { return &it }

var full = typed{-32768, 2147483647, -9223372036854775808, 0.1, 1e300, "-12345678901234.567890", true, "zażółć 🦆 \\ ' \"", "twenty", "ab   ", []byte{0, 255, 16},
	time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC), pgtype.Time{Microseconds: 86399999999, Valid: true}, time.Date(1999, 12, 31, 23, 59, 59, 123456000, time.UTC),
	time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), [16]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff},
	map[string]any{"a": []any{float64(1), nil, "x"}}, []*int32{of(int32(1)), nil, of(int32(3))}, []*string{of("a"), of("b c"), nil, of("d\"e")}}

func (row *typed) fields() []any {
	return []any{&row.I2, &row.I4, &row.I8, &row.F4, &row.F8, &row.Num, &row.Flag, &row.Txt, &row.Vc, &row.Bc, &row.Raw, &row.Day, &row.Clock, &row.Local, &row.Instant,
		&row.Uid, &row.Jb, &row.Ints, &row.Texts}
}

func (row typed) values() []any {
	return []any{row.I2, row.I4, row.I8, row.F4, row.F8, row.Num, row.Flag, row.Txt, row.Vc, row.Bc, row.Raw, row.Day, row.Clock, row.Local, row.Instant,
		row.Uid, row.Jb, row.Ints, row.Texts}
}

const columns = `i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, num numeric(20,6), flag boolean, txt text, vc varchar(20), bc char(5), raw bytea, day date,
	clock time, local timestamp, instant timestamptz, uid uuid, jb jsonb, ints integer[], texts text[]`

func main() {
	if len(os.Args) == 6 && os.Args[1] == "login" {
		login(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
		return
	}
	fmt.Println("client pgx " + version())
	conn := connect(pgx.QueryExecModeCacheStatement)
	defer conn.Close(ctx)
	for _, statement := range []string{"DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema,
		"CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2))", "CREATE TABLE typed (id integer PRIMARY KEY, " + columns + ")"} {
		value(conn.Exec(ctx, statement))
	}
	queries(conn)
	modes()
	changes(conn)
	others(conn)
	value(conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE"))
}

func queries(conn *pgx.Conn) {
	check("CopyFrom writes rows in binary", func() error {
		rows := make([][]any, 1000)
		for n := range rows {
			rows[n] = []any{n, fmt.Sprintf("item %d", n), fmt.Sprintf("%d.25", n)}
		}
		same(value(conn.CopyFrom(ctx, pgx.Identifier{schema, "items"}, []string{"id", "name", "price"}, pgx.CopyFromRows(rows))), int64(1000))
		return nil
	})
	check("CopyFrom of every type", func() error {
		names := strings.Split("i2 i4 i8 f4 f8 num flag txt vc bc raw day clock local instant uid jb ints texts", " ")
		same(value(conn.CopyFrom(ctx, pgx.Identifier{"typed"}, append([]string{"id"}, names...), pgx.CopyFromRows([][]any{append([]any{50}, full.values()...)}))), int64(1))
		var got typed
		must(conn.QueryRow(ctx, "SELECT "+strings.Join(names, ", ")+" FROM typed WHERE id = 50").Scan(got.fields()...))
		got.Instant = got.Instant.UTC()
		same(got, full)
		return nil
	})
	check("QueryRow, CollectRows and rows by name", func() error {
		var name string
		must(conn.QueryRow(ctx, "SELECT name FROM items WHERE id = $1", 7).Scan(&name))
		same(name, "item 7")
		type item struct {
			ID   int32
			Name string
		}
		got := value(pgx.CollectRows(value(conn.Query(ctx, "SELECT name, id FROM items WHERE id = ANY($1) ORDER BY id", []int32{1, 3})), pgx.RowToStructByName[item]))
		same(got, []item{{1, "item 1"}, {3, "item 3"}})
		return nil
	})
	check("fields have table, column and type of the catalog", func() error {
		rows := value(conn.Query(ctx, "SELECT id, price FROM items LIMIT 0"))
		fields := rows.FieldDescriptions()
		rows.Close()
		same([]any{fields[0].Name, fields[0].DataTypeOID, fields[0].TableAttributeNumber, fields[1].TableAttributeNumber, fields[1].TypeModifier},
			[]any{"id", uint32(23), uint16(1), uint16(3), int32(10<<16|2) + 4})
		var table string
		must(conn.QueryRow(ctx, "SELECT relname::text FROM pg_class WHERE oid = $1", fields[0].TableOID).Scan(&table))
		same(table, "items")
		return nil
	})
	check("Prepare describes parameters and result", func() error {
		prepared := value(conn.Prepare(ctx, "find", "SELECT name FROM items WHERE id = $1 AND price < $2"))
		same(prepared.ParamOIDs, []uint32{23, 1700})
		same(prepared.Fields[0].DataTypeOID, uint32(25))
		var name string
		must(conn.QueryRow(ctx, "find", 3, "100").Scan(&name))
		same(name, "item 3")
		return conn.Deallocate(ctx, "find")
	})
	check("constants of every type come back without a table", func() error {
		var numeric pgtype.Numeric
		var interval pgtype.Interval
		var address netip.Addr
		var matrix [][]int32
		var many pgtype.Range[pgtype.Int4]
		must(conn.QueryRow(ctx, "SELECT 'NaN'::numeric, interval '1 mon 2 days 00:00:03', '10.0.0.1'::inet, '{{1,2},{3,4}}'::int[], int4range(1, 5)").Scan(&numeric, &interval, &address, &matrix, &many))
		same(numeric.NaN, true)
		same(interval, pgtype.Interval{Microseconds: 3000000, Days: 2, Months: 1, Valid: true})
		same(address, netip.MustParseAddr("10.0.0.1"))
		same(matrix, [][]int32{{1, 2}, {3, 4}})
		same(many.Upper.Int32, int32(5))
		return nil
	})
}

func modes() {
	for name, mode := range map[string]pgx.QueryExecMode{"cache of statements": pgx.QueryExecModeCacheStatement, "cache of descriptions": pgx.QueryExecModeCacheDescribe,
		"describe each": pgx.QueryExecModeDescribeExec, "exec": pgx.QueryExecModeExec, "simple protocol": pgx.QueryExecModeSimpleProtocol} {
		check("values of every type go in and come back: "+name, func() error {
			conn := connect(mode)
			defer conn.Close(ctx)
			id := int32(mode)
			places := make([]string, 19)
			for n := range places {
				places[n] = fmt.Sprintf("$%d", n+2)
			}
			value(conn.Exec(ctx, "DELETE FROM typed WHERE id = $1", id))
			row := full
			arguments := append([]any{id}, row.values()...)
			if mode == pgx.QueryExecModeExec || mode == pgx.QueryExecModeSimpleProtocol {
				arguments[13] = "23:59:59.999999" // these modes know a value's type by its Go type alone
				arguments[17] = `{"a": [1, null, "x"]}`
				arguments[16] = pgtype.UUID{Bytes: full.Uid, Valid: true}
			}
			value(conn.Exec(ctx, "INSERT INTO typed VALUES ($1, "+strings.Join(places, ", ")+")", arguments...))
			var got typed
			must(conn.QueryRow(ctx, "SELECT i2, i4, i8, f4, f8, num, flag, txt, vc, bc, raw, day, clock, local, instant, uid, jb, ints, texts FROM typed WHERE id = $1", id).Scan(got.fields()...))
			got.Instant = got.Instant.UTC()
			same(got, full)
			return nil
		})
	}
}

func changes(conn *pgx.Conn) {
	check("a batch is one round trip, and an error ends it", func() error {
		batch := &pgx.Batch{}
		for n := range 100 {
			batch.Queue("UPDATE items SET name = $1 WHERE id = $2", fmt.Sprintf("batch %d", n), n)
		}
		batch.Queue("SELECT count(*) FROM items WHERE name LIKE 'batch%'")
		results := conn.SendBatch(ctx, batch)
		for range 100 {
			same(value(results.Exec()).RowsAffected(), int64(1))
		}
		var count int
		must(results.QueryRow().Scan(&count))
		same(count, 100)
		must(results.Close())
		batch = &pgx.Batch{}
		batch.Queue("UPDATE items SET name = 'never' WHERE id = 1")
		batch.Queue("SELECT 1/0")
		fails(conn.SendBatch(ctx, batch).Close(), "22012")
		var name string
		must(conn.QueryRow(ctx, "SELECT name FROM items WHERE id = 1").Scan(&name))
		same(name, "batch 1")
		return nil
	})
	check("a pipeline with several syncs", func() error {
		pipeline := conn.PgConn().StartPipeline(ctx)
		for n := range 10 {
			pipeline.SendQueryParams("SELECT $1::int4 * 2", [][]byte{[]byte(fmt.Sprint(n))}, nil, nil, nil)
			must(pipeline.Sync())
		}
		for n := range 10 {
			rows := value(pipeline.GetResults()).(*pgconn.ResultReader).Read()
			same(string(rows.Rows[0][0]), fmt.Sprint(n*2))
			_ = value(pipeline.GetResults()).(*pgconn.PipelineSync)
		}
		return pipeline.Close()
	})
	check("transactions nest, with isolation and access mode", func() error {
		tx := value(conn.Begin(ctx))
		value(tx.Exec(ctx, "UPDATE items SET name = 'outer' WHERE id = 1"))
		inner := value(tx.Begin(ctx))
		value(inner.Exec(ctx, "UPDATE items SET name = 'inner' WHERE id = 1"))
		must(inner.Rollback(ctx))
		must(tx.Commit(ctx))
		tx = value(conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}))
		var name string
		must(tx.QueryRow(ctx, "SELECT name FROM items WHERE id = 1").Scan(&name))
		same(name, "outer")
		_, err := tx.Exec(ctx, "DELETE FROM items")
		fails(err, "25006")
		return tx.Rollback(ctx)
	})
	check("CopyTo and CopyFrom of texts", func() error {
		var out bytes.Buffer
		value(conn.PgConn().CopyTo(ctx, &out, "COPY (SELECT id, price FROM items WHERE id < 2 ORDER BY id) TO STDOUT CSV"))
		same(out.String(), "0,0.25\n1,1.25\n")
		tag := value(conn.PgConn().CopyFrom(ctx, strings.NewReader("5000,a\n5001,\n"), "COPY items (id, name) FROM STDIN CSV"))
		same(tag.RowsAffected(), int64(2))
		value(conn.Exec(ctx, "DELETE FROM items WHERE id >= 5000"))
		return nil
	})
	check("errors have code, constraint, table and detail", func() error {
		_, err := conn.Exec(ctx, "INSERT INTO items VALUES (1)")
		failure := fails(err, "23505")
		same([]string{failure.ConstraintName, failure.TableName, failure.SchemaName, failure.Detail}, []string{"items_pkey", "items", schema, "Key (id)=(1) already exists."})
		_, err = conn.Exec(ctx, "SELECT * FROM nowhere")
		same(fails(err, "42P01").Position, int32(15))
		return nil
	})
}

func others(conn *pgx.Conn) {
	check("a cancelled context ends a statement, and the server goes on", func() error {
		own := connect(pgx.QueryExecModeCacheStatement)
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		_, err := own.Exec(short, "SELECT pg_sleep(20)")
		same(errors.Is(err, context.DeadlineExceeded), true)
		done := make(chan error, 1)
		go func() {
			_, err := conn.Exec(ctx, "SELECT pg_sleep(20)")
			done <- err
		}()
		time.Sleep(200 * time.Millisecond)
		must(conn.PgConn().CancelRequest(ctx))
		fails(<-done, "57014")
		return nil
	})
	check("WaitForNotification", func() error {
		value(conn.Exec(ctx, "LISTEN "+schema))
		value(conn.Exec(ctx, "SELECT pg_notify($1, 'hello')", schema))
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		same(value(conn.WaitForNotification(short)).Payload, "hello")
		return nil
	})
	check("a pool serves many at once", func() error {
		config := value(pgxpool.ParseConfig(url))
		config.ConnConfig.RuntimeParams["search_path"] = schema
		config.MaxConns = 4
		pool := value(pgxpool.NewWithConfig(ctx, config))
		defer pool.Close()
		answers := make(chan error, 20)
		for n := range 20 {
			go func() {
				var got int
				err := pool.QueryRow(ctx, "SELECT $1::int + count(*) FROM items", n).Scan(&got)
				if err == nil && got != n+1000 {
					err = fmt.Errorf("got %d for %d", got, n)
				}
				answers <- err
			}()
		}
		for range 20 {
			must(<-answers)
		}
		return nil
	})
	check("LoadType finds types of the catalog", func() error {
		row := value(conn.LoadType(ctx, "items"))
		same(row.Name, "items")
		conn.TypeMap().RegisterType(row)
		same(value(conn.LoadType(ctx, "_items")).Name, "_items")
		return nil
	})
	check("database/sql", func() error {
		over := value(sql.Open("pgx", url+"?search_path="+schema))
		defer over.Close()
		prepared := value(over.Prepare("SELECT name FROM items WHERE id = $1"))
		var name sql.NullString
		must(prepared.QueryRow(9).Scan(&name))
		same(name.String, "batch 9")
		tx := value(over.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}))
		var count int
		must(tx.QueryRow("SELECT count(*) FROM items").Scan(&count))
		same(count, 1000)
		return tx.Rollback()
	})
}
