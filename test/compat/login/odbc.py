"""psqlODBC logs in: TLS required and verified, SCRAM with and without channel binding, and what is refused.

Arguments: the server that takes both, the one that wants TLS (host:port), the certificate, another's certificate. Prints a line a check.
"""
import sys

import pyodbc

from checks import check, client, raises, same

EITHER, STRICT, CERTIFICATE, FOREIGN = sys.argv[1:]
pyodbc.pooling = False


def who(address, mode, options='', password="b's"):
    """`options` are libpq's own."""
    host, port = address.split(':')
    more = f'pqopt={{{options}}};' if options else ''
    made = pyodbc.connect(f'Driver={{PostgreSQL Unicode}};Server={host};Port={port};Database=arka;Uid=driver;Pwd={password};SSLmode={mode};{more}', autocommit=True)
    try:
        return made.execute('SELECT current_user').fetchone()[0]
    finally:
        made.close()


def refused(text, *arguments, **more):
    error = raises(pyodbc.Error, lambda: who(*arguments, **more))
    if text not in str(error):
        raise AssertionError(f'{text!r} is not in {error}')


client('drivers of ODBC', pyodbc.version)


@check('psqlODBC')
def _():
    verified = f'sslrootcert={CERTIFICATE}'
    same(who(STRICT, 'require'), 'driver')
    for binding in ('prefer', 'require', 'disable'):
        same(who(STRICT, 'verify-full', f'{verified} channel_binding={binding}'), 'driver')
    same(who(EITHER, 'prefer'), 'driver')
    same(who(EITHER, 'disable'), 'driver')
    refused('server.tls_required', STRICT, 'disable')
    refused('channel binding', EITHER, 'disable', 'channel_binding=require')
    refused('certificate verify failed', EITHER, 'verify-full', f'sslrootcert={FOREIGN}')
    refused('password authentication failed for user "driver"', STRICT, 'verify-full', verified, password='wrong')
