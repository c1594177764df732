"""psycopg 3, psycopg 2 and asyncpg log in: TLS required and verified, SCRAM with and without channel binding, and what is refused.

Arguments: the server that takes both, the one that wants TLS (host:port), the certificate, another's certificate. Prints a line a check.
"""
import asyncio
import ssl
import sys

import asyncpg
import psycopg
import psycopg2

from checks import check_async, client, raises, same

EITHER, STRICT, CERTIFICATE, FOREIGN = sys.argv[1:]
PASSWORD = "b's"
SHOWN = 'SELECT current_user'
VERIFIED = f'sslmode=verify-full&sslrootcert={CERTIFICATE}'


def url(address, parameters, user='driver', password='b%27s'):
    return f'postgresql://{user}:{password}@{address}/arka?{parameters}'


def who(connect, address, parameters, **other):
    connection = connect(url(address, parameters, **other))
    try:
        with connection.cursor() as cursor:
            cursor.execute(SHOWN)
            return cursor.fetchone()[0], connection.info.ssl_in_use if connect is psycopg2.connect else connection.pgconn.ssl_in_use
    finally:
        connection.close()


def refused(connect, kind, address, parameters, text, **other):
    error = raises(kind, lambda: who(connect, address, parameters, **other))
    if text not in str(error):
        raise AssertionError(f'{text!r} is not in {error}')


async def libpq(connect, kind):
    for parameters in ('sslmode=require', VERIFIED, f'{VERIFIED}&channel_binding=require', f'{VERIFIED}&channel_binding=disable'):
        same(who(connect, STRICT, parameters), ('driver', True))
    same(who(connect, EITHER, 'sslmode=prefer'), ('driver', True))
    same(who(connect, EITHER, 'sslmode=disable'), ('driver', False))
    refused(connect, kind, STRICT, 'sslmode=disable', 'server.tls_required')
    refused(connect, kind, EITHER, 'sslmode=disable&channel_binding=require', 'channel binding')
    refused(connect, kind, EITHER, f'sslmode=verify-full&sslrootcert={FOREIGN}', 'certificate verify failed')
    refused(connect, kind, STRICT, VERIFIED, 'password authentication failed for user "driver"', password='wrong')
    refused(connect, kind, STRICT, VERIFIED, 'password authentication failed for user "nobody"', user='nobody')


async def direct():
    """libpq 17 and later: TLS from the first byte."""
    for parameters in ('sslmode=require', VERIFIED, f'{VERIFIED}&channel_binding=require'):
        for address in (STRICT, EITHER):
            same(who(psycopg.connect, address, f'{parameters}&sslnegotiation=direct'), ('driver', True))


async def asyncpg_who(address, context, password=PASSWORD):
    host, port = address.split(':')
    connection = await asyncpg.connect(host=host, port=int(port), user='driver', password=password, database='arka', ssl=context)
    try:
        return await connection.fetchval(SHOWN)
    finally:
        await connection.close()


async def asyncpg_raises(kind, *arguments):
    try:
        await asyncpg_who(*arguments)
    except kind as error:
        return error
    raise AssertionError(f'{kind.__name__} was expected')


async def asyncpg_logs_in():
    verified = ssl.create_default_context(cafile=CERTIFICATE)
    for context in ('require', verified):
        same(await asyncpg_who(STRICT, context), 'driver')
    same(await asyncpg_who(EITHER, 'prefer'), 'driver')
    same(await asyncpg_who(EITHER, False), 'driver')
    refusal = await asyncpg_raises(asyncpg.InvalidAuthorizationSpecificationError, STRICT, False)
    same(refusal.sqlstate, '28000')
    await asyncpg_raises(ssl.SSLCertVerificationError, EITHER, ssl.create_default_context(cafile=FOREIGN))
    await asyncpg_raises(asyncpg.InvalidPasswordError, STRICT, verified, 'wrong')


async def main():
    client('drivers of Python', sys.version.split()[0])
    await check_async('psycopg 3', lambda: libpq(psycopg.connect, psycopg.OperationalError))
    await check_async('psycopg 3, TLS at once', direct)
    await check_async('psycopg 2', lambda: libpq(psycopg2.connect, psycopg2.OperationalError))
    await check_async('asyncpg', asyncpg_logs_in)


asyncio.run(main())
