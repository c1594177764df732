"""asyncpg: binary both ways, prepared statements, cursors, COPY, pools, codecs found in the catalog."""
import asyncio
import datetime as dt
import decimal
import io
import json
import uuid

import asyncpg

from checks import SCHEMA, START, TYPED_TABLE, URL, check_async, client, same, values_of_python

client('asyncpg', asyncpg.__version__)
UTC = dt.timezone.utc
VALUES = values_of_python(f4=0.5, jb='{"a": [1, null, "x"]}')
names = ', '.join(VALUES)


async def raises(kind, awaitable):
    try:
        await awaitable
    except kind as error:
        return error
    raise AssertionError(f'{kind.__name__} was expected')


async def main():
    connection = await asyncpg.connect(URL)
    await connection.execute(START)
    await connection.execute(f'SET search_path TO {SCHEMA}')
    await connection.execute('CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2))')
    await connection.execute(TYPED_TABLE.format('typed'))

    async def many():
        await connection.executemany('INSERT INTO items VALUES ($1, $2, $3)', [(n, f'item {n}', decimal.Decimal(n) / 4) for n in range(1000)])
        same(await connection.fetchval('SELECT count(*) FROM items'), 1000)
    await check_async('executemany inserts', many)

    async def types():
        places = ', '.join(f'${n + 2}' for n in range(len(VALUES)))
        await connection.execute(f'INSERT INTO typed (id, {names}) VALUES ($1, {places})', 1, *VALUES.values())
        row = await connection.fetchrow(f'SELECT {names} FROM typed WHERE id = $1', 1)
        got = dict(row)
        got['uid'] = uuid.UUID(str(got['uid']))
        same(got, VALUES)
    await check_async('values of every type go in and come back', types)

    async def constants():
        row = await connection.fetchrow(
            "SELECT 'NaN'::numeric, 'Infinity'::float8, interval '1 day 2 hours', timetz '01:02:03+00', 42::oid, "
            "'{{1,2},{3,4}}'::int[], '{\"a\": 1}'::json, 'x'::name, '10.0.0.1'::inet, int4range(1, 5), point(1,2), B'101', ARRAY['a'::varchar], $1::text[]", ['p', None])
        same(row[0].is_nan(), True)
        same(tuple(row)[1:8], (float('inf'), dt.timedelta(days=1, hours=2), dt.time(1, 2, 3, tzinfo=UTC), 42, [[1, 2], [3, 4]], '{"a": 1}', 'x'))
        same(row[9], asyncpg.Range(1, 5))
        same(tuple(row)[12:], (['a'], ['p', None]))
    await check_async('constants of every type come back without a table', constants)

    async def prepared():
        statement = await connection.prepare('SELECT name, price FROM items WHERE id = $1 AND price < $2')
        same([p.name for p in statement.get_parameters()], ['int4', 'numeric'])
        same([(a.name, a.type.name) for a in statement.get_attributes()], [('name', 'text'), ('price', 'numeric')])
        for n in range(5):
            same(await statement.fetchval(n, decimal.Decimal(100)), f'item {n}')
        plan = await statement.explain(1, decimal.Decimal(1))
        same(bool(plan), True)
    await check_async('a prepared statement describes itself and runs', prepared)

    async def cursors():
        async with connection.transaction():
            seen = [record['id'] async for record in connection.cursor('SELECT id FROM items ORDER BY id', prefetch=77)]
            same(seen, list(range(1000)))
            cursor = await connection.cursor('SELECT id FROM items ORDER BY id')
            same(len(await cursor.fetch(10)), 10)
            same(await cursor.forward(5), 5)
            same((await cursor.fetchrow())['id'], 15)
    await check_async('cursors fetch, move and end', cursors)

    async def copy_records():
        rows = [(n, None if n % 2 else f'row\t{n}', decimal.Decimal(n)) for n in range(5000, 5500)]
        same(await connection.copy_records_to_table('items', records=rows), 'COPY 500')
        same(await connection.fetchrow('SELECT * FROM items WHERE id = 5002'), (5002, 'row\t5002', decimal.Decimal(5002)))
        out = io.BytesIO()
        same(await connection.copy_from_query('SELECT id, name FROM items WHERE id >= $1 ORDER BY id', 5498, output=out), 'COPY 2')
        same(out.getvalue(), b'5498\trow\\t5498\n5499\t\\N\n')
        out = io.BytesIO()
        same(await connection.copy_from_table('items', output=out, format='binary'), 'COPY 1500')
        same(out.getvalue()[:11], b'PGCOPY\n\xff\r\n\0')
        source = io.BytesIO(b'6000,"a,b",1\n')
        same(await connection.copy_to_table('items', source=source, format='csv'), 'COPY 1')
        await connection.execute('DELETE FROM items WHERE id >= 5000')
    await check_async('COPY of records, of queries and of tables', copy_records)

    async def nested():
        try:
            async with connection.transaction():
                await connection.execute("UPDATE items SET name = 'outer' WHERE id = 1")
                async with connection.transaction():
                    await connection.execute("UPDATE items SET name = 'inner' WHERE id = 1")
                    raise KeyError
        except KeyError:
            pass
        same(await connection.fetchval('SELECT name FROM items WHERE id = 1'), 'item 1')
        async with connection.transaction(isolation='repeatable_read', readonly=True):
            same(await connection.fetchval('SHOW transaction_isolation'), 'repeatable read')
    await check_async('transactions nest, with isolation and read only', nested)

    async def errors():
        error = await raises(asyncpg.UniqueViolationError, connection.execute('INSERT INTO items VALUES (1)'))
        same((error.constraint_name, error.table_name, error.schema_name, error.sqlstate), ('items_pkey', 'items', SCHEMA, '23505'))
        await raises(asyncpg.UndefinedTableError, connection.fetch('SELECT * FROM nowhere'))
        await raises(asyncpg.DataError, connection.fetch('SELECT $1::int', 'x'))
        await raises(asyncpg.NumericValueOutOfRangeError, connection.fetch("SELECT 40000::int2"))
    await check_async('errors have their classes and fields', errors)

    async def timeout():
        await raises(asyncio.TimeoutError, connection.fetch('SELECT pg_sleep(20)', timeout=0.2))
        same(await connection.fetchval('SELECT 1'), 1)
    await check_async('a timeout cancels, and the connection goes on', timeout)

    async def listens():
        got = asyncio.get_running_loop().create_future()
        await connection.add_listener(SCHEMA, lambda _, pid, channel, payload: got.set_result((channel, payload)))
        await connection.execute(f"NOTIFY {SCHEMA}, 'hello'")
        same(await asyncio.wait_for(got, 5), (SCHEMA, 'hello'))
    await check_async('NOTIFY reaches a listener', listens)

    async def codec():
        await connection.set_type_codec('jsonb', encoder=json.dumps, decoder=json.loads, schema='pg_catalog')
        same(await connection.fetchval('SELECT jb FROM typed WHERE id = 1'), {'a': [1, None, 'x']})
        same(await connection.fetchval('SELECT $1::jsonb', [1, {'b': None}]), [1, {'b': None}])
    await check_async('a codec is set for a type of the catalog', codec)

    async def introspection():
        same(await connection.fetchval("SELECT 'r'::pg_catalog.\"char\""), b'r')
        same(await connection.fetchval("SELECT (1, 'x', NULL::int)"), (1, 'x', None))
        same(await connection.fetchval("SELECT ARRAY[ROW(1, 'a'), ROW(2, 'b')]"), [(1, 'a'), (2, 'b')])
    await check_async('types that it does not know are looked up in the catalog', introspection)

    async def state():
        same(connection.get_server_version().major >= 15, True)
        same(connection.get_settings().client_encoding, 'UTF8')
        same(connection.get_server_pid(), await connection.fetchval('SELECT pg_backend_pid()'))
        await connection.execute("SET application_name TO 'changed'")
        same(connection.get_settings().application_name, 'changed')
    await check_async('settings that change are reported', state)

    async def pool():
        async with asyncpg.create_pool(URL, min_size=2, max_size=4, server_settings={'search_path': SCHEMA}) as many:
            got = await asyncio.gather(*[many.fetchval('SELECT $1::int + count(*) FROM items', n) for n in range(20)])
            same(got, [1000 + n for n in range(20)])
            async with many.acquire() as one:
                await one.execute("SET application_name = 'mine'")
            async with many.acquire() as one:
                same(await one.fetchval('SHOW search_path'), SCHEMA)
    await check_async('a pool resets what it gives back', pool)

    await connection.execute(f'DROP SCHEMA {SCHEMA} CASCADE')
    await connection.close()


asyncio.run(main())
