"""psycopg 3: server cursors, pipelines, COPY, both formats, errors, cancel, LISTEN."""
import datetime as dt
import decimal
import threading
import time

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from checks import COLUMNS, SCHEMA, START, TYPED_TABLE, URL, check, client, raises, same, values_of_python

client('psycopg 3', psycopg.__version__)
connection = psycopg.connect(URL, autocommit=True)
connection.execute(START)
connection.execute(f'SET search_path TO {SCHEMA}')
connection.execute('SET TimeZone TO UTC')
connection.execute('CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2))')
connection.execute(TYPED_TABLE.format('typed'))
back = connection.rollback

UTC = dt.timezone.utc
VALUES = values_of_python(f4=0.5, jb={'a': [1, None, 'x']})
names = ', '.join(VALUES)


def parameters(values):
    return [Jsonb(v) if c == 'jb' else v for c, v in values.items()]


@check('executemany inserts, and rowcount says how many')
def _():
    with connection.cursor() as cursor:
        cursor.executemany('INSERT INTO items VALUES (%s, %s, %s)', [(n, f'item {n}', decimal.Decimal(n) / 4) for n in range(1000)])
        same(cursor.rowcount, 1000)


@check('executemany with returning gives a result set a row')
def _():
    with connection.cursor() as cursor:
        cursor.executemany('INSERT INTO items (id, name) VALUES (%s, %s) RETURNING id', [(2000, 'a'), (2001, 'b')], returning=True)
        got = [cursor.fetchone()[0]]
        while cursor.nextset():
            got.append(cursor.fetchone()[0])
        same(got, [2000, 2001])
    connection.execute('DELETE FROM items WHERE id >= 2000')


for binary in (False, True):
    form = 'binary' if binary else 'text'
    place = '%b' if binary else '%t'

    @check(f'values of every type go in and come back, {form}')
    def _():
        connection.execute('DELETE FROM typed WHERE id = 1')
        places = ', '.join([place] * (len(VALUES) + 1))
        connection.execute(f'INSERT INTO typed (id, {names}) VALUES ({places})', [1, *parameters(VALUES)])
        row = connection.execute(f'SELECT {names} FROM typed WHERE id = 1', binary=binary).fetchone()
        same(dict(zip(VALUES, row)), VALUES)

    @check(f'NULLs of every type go in and come back, {form}')
    def _():
        connection.execute('DELETE FROM typed WHERE id = 2')
        places = ', '.join([place] * (len(VALUES) + 1))
        connection.execute(f'INSERT INTO typed (id, {names}) VALUES ({places})', [2, *[None] * len(VALUES)])
        same(connection.execute(f'SELECT {names} FROM typed WHERE id = 2', binary=binary).fetchone(), (None,) * len(VALUES))

    @check(f'constants of every type come back without a table, {form}')
    def _():
        row = connection.execute(
            "SELECT 1::int2, 2::int4, 3::int8, 'NaN'::numeric, 1.5::float4, 'Infinity'::float8, interval '1 day 2 hours', "
            "timetz '01:02:03+00', oid '42', 'pg_class'::regclass, '{{1,2},{3,4}}'::int[], '{\"a\": 1}'::json, NULL, 'x'::name, "
            "'10.0.0.1'::inet, int4range(1, 5)", binary=binary).fetchone()
        same(row[:3], (1, 2, 3))
        same(row[3].is_nan(), True)
        same(row[4:7], (1.5, float('inf'), dt.timedelta(days=1, hours=2)))
        same(row[7], dt.time(1, 2, 3, tzinfo=UTC))
        same(row[8], 42)
        same(row[10:14], ([[1, 2], [3, 4]], {'a': 1}, None, 'x'))


@check('a description has names, type OIDs, sizes and precision')
def _():
    cursor = connection.execute('SELECT id, name, price FROM items LIMIT 0')
    same([(c.name, c.type_code) for c in cursor.description], [('id', 23), ('name', 25), ('price', 1700)])
    same((cursor.description[2].precision, cursor.description[2].scale), (10, 2))


@check('a server cursor fetches in portions')
def _():
    with connection.transaction():
        with connection.cursor(name='portions') as cursor:
            cursor.itersize = 300
            cursor.execute('SELECT id FROM items ORDER BY id')
            same([row[0] for row in cursor], list(range(1000)))


@check('a scrollable server cursor goes back and to a place')
def _():
    with connection.transaction():
        with connection.cursor(name='scrolling', scrollable=True) as cursor:
            cursor.execute('SELECT id FROM items ORDER BY id')
            same(cursor.fetchmany(3), [(0,), (1,), (2,)])
            cursor.scroll(-2)
            same(cursor.fetchone(), (1,))
            cursor.scroll(500, mode='absolute')
            same(cursor.fetchone(), (500,))


@check('a server cursor WITH HOLD outlives its transaction')
def _():
    cursor = connection.cursor(name='held', withhold=True)
    cursor.execute('SELECT id FROM items ORDER BY id')
    same(cursor.fetchone(), (0,))
    same(len(cursor.fetchall()), 999)
    cursor.close()


@check('a binary server cursor')
def _():
    with connection.transaction():
        with connection.cursor(name='bin', binary=True) as cursor:
            cursor.execute('SELECT id, price FROM items WHERE id < %s ORDER BY id', (2,))
            same(cursor.fetchall(), [(0, decimal.Decimal('0.00')), (1, decimal.Decimal('0.25'))])


@check('a pipeline sends many statements before it reads')
def _():
    with connection.pipeline():
        cursors = [connection.execute('SELECT %s::int + count(*) FROM items', (n,)) for n in range(50)]
        connection.execute("UPDATE items SET name = 'piped' WHERE id = 7")
        name = connection.execute('SELECT name FROM items WHERE id = 7')
        same([c.fetchone()[0] for c in cursors], [1000 + n for n in range(50)])
        same(name.fetchone(), ('piped',))


@check('an error in a pipeline aborts what follows up to the sync')
def _():
    def failing():
        with connection.pipeline():
            connection.execute('SELECT 1/0')
            connection.execute("UPDATE items SET name = 'never' WHERE id = 8")
    raises(psycopg.errors.DivisionByZero, failing)
    same(connection.execute('SELECT name FROM items WHERE id = 8').fetchone(), ('item 8',))


@check('a prepared statement runs many times')
def _():
    got = [connection.execute('SELECT name FROM items WHERE id = %s', (n,), prepare=True).fetchone()[0] for n in range(20, 30)]
    same(got, [f'item {n}' for n in range(20, 30)])
    same(connection.execute("SELECT count(*) > 0 FROM pg_prepared_statements").fetchone(), (True,))


@check('a prepared statement whose result another session has changed fails with 0A000')
def _():
    connection.execute('CREATE TABLE shape (a int)')
    connection.execute('SELECT * FROM shape', prepare=True)
    with psycopg.connect(URL, autocommit=True) as other:
        other.execute(f'ALTER TABLE {SCHEMA}.shape ADD COLUMN b text')
    raises(psycopg.errors.FeatureNotSupported, lambda: connection.execute('SELECT * FROM shape', prepare=True))


for fmt, options in (('text', ''), ('binary', ' (FORMAT binary)')):
    @check(f'COPY in and out, {fmt}')
    def _():
        connection.execute('DELETE FROM items WHERE id >= 5000')
        with connection.cursor() as cursor:
            with cursor.copy(f'COPY items FROM STDIN{options}') as copy:
                copy.set_types(['int4', 'text', 'numeric'])
                for n in range(5000, 5500):
                    copy.write_row((n, None if n % 2 else f'row\t{n}', decimal.Decimal(n)))
            same(cursor.rowcount, 500)
            with cursor.copy(f'COPY (SELECT id, name, price FROM items WHERE id >= 5000 ORDER BY id) TO STDOUT{options}') as copy:
                copy.set_types(['int4', 'text', 'numeric'])
                rows = list(copy.rows())
        same(len(rows), 500)
        same(rows[1], (5001, None, decimal.Decimal('5001.00')))
        same(rows[2], (5002, 'row\t5002', decimal.Decimal('5002.00')))
        connection.execute('DELETE FROM items WHERE id >= 5000')


@check('COPY of every type in binary comes back equal')
def _():
    connection.execute('DELETE FROM typed')
    types = ['int4', *[t.split('(')[0] for t, _ in COLUMNS.values()]]
    types = [{'varchar': 'varchar', 'char': 'text', 'integer': 'int4', 'integer[]': 'int4[]'}.get(t, t) for t in types]
    with connection.cursor() as cursor:
        with cursor.copy(f'COPY typed (id, {names}) FROM STDIN (FORMAT binary)') as copy:
            copy.set_types(types)
            copy.write_row([9, *parameters(VALUES)])
        with cursor.copy(f'COPY typed (id, {names}) TO STDOUT (FORMAT binary)') as copy:
            copy.set_types(types)
            (row,) = copy.rows()
    same(dict(zip(VALUES, row[1:])), VALUES)


@check('a COPY that the client gives up leaves nothing')
def _():
    def give_up():
        with connection.cursor() as cursor, cursor.copy('COPY items FROM STDIN') as copy:
            copy.write_row((9000, 'x', 1))
            raise KeyError('no more')
    raises(KeyError, give_up)
    same(connection.execute('SELECT count(*) FROM items WHERE id = 9000').fetchone(), (0,))


@check('errors have their classes, and name constraint, table and schema')
def _():
    error = raises(psycopg.errors.UniqueViolation, lambda: connection.execute('INSERT INTO items VALUES (1)'))
    same((error.diag.constraint_name, error.diag.table_name, error.diag.schema_name), ('items_pkey', 'items', SCHEMA))
    error = raises(psycopg.errors.NotNullViolation, lambda: connection.execute('INSERT INTO items (name) VALUES (1)'))
    same(error.diag.column_name, 'id')
    raises(psycopg.errors.UndefinedTable, lambda: connection.execute('SELECT * FROM nowhere'))
    raises(psycopg.errors.InvalidTextRepresentation, lambda: connection.execute("SELECT 'x'::int"))


@check('transactions nest as savepoints')
def _():
    with connection.transaction():
        connection.execute("UPDATE items SET name = 'outer' WHERE id = 1")
        try:
            with connection.transaction():
                connection.execute("UPDATE items SET name = 'inner' WHERE id = 1")
                raise KeyError
        except KeyError:
            pass
        same(connection.execute('SELECT name FROM items WHERE id = 1').fetchone(), ('outer',))


@check('isolation level, read only and deferrable are set for transactions')
def _():
    with psycopg.connect(URL) as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        other.read_only = True
        same(other.execute('SHOW transaction_isolation').fetchone(), ('repeatable read',))
        raises(psycopg.errors.ReadOnlySqlTransaction, lambda: other.execute(f'DELETE FROM {SCHEMA}.items'))
        other.rollback()


@check('cancel from another thread ends a statement with 57014')
def _():
    timer = threading.Timer(0.2, connection.cancel_safe)
    timer.start()
    raises(psycopg.errors.QueryCanceled, lambda: connection.execute('SELECT pg_sleep(20)'))
    timer.join()
    same(connection.execute('SELECT 1').fetchone(), (1,))


@check('NOTIFY reaches a connection that listens')
def _():
    connection.execute(f'LISTEN {SCHEMA}')
    with psycopg.connect(URL, autocommit=True) as other:
        other.execute(f"NOTIFY {SCHEMA}, 'hello'")
    (got,) = connection.notifies(timeout=5, stop_after=1)
    same((got.channel, got.payload), (SCHEMA, 'hello'))


@check('notices arrive')
def _():
    notices = []
    connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    connection.execute('DROP TABLE IF EXISTS not_there')
    same(notices, ['table "not_there" does not exist, skipping'])


@check('composed identifiers, dict rows and client-side cursors')
def _():
    query = sql.SQL('SELECT {column} AS c FROM {table} WHERE id = 3').format(column=sql.Identifier('name'), table=sql.Identifier(SCHEMA, 'items'))
    with connection.cursor(row_factory=dict_row) as cursor:
        same(cursor.execute(query).fetchone(), {'c': 'item 3'})
    cursor = psycopg.ClientCursor(connection)
    same(cursor.execute("SELECT %s, %s, %s::date", ("it's", 5, dt.date(2020, 1, 1))).fetchone(), ("it's", 5, dt.date(2020, 1, 1)))


@check('types of the catalog are found by name')
def _():
    same(psycopg.types.TypeInfo.fetch(connection, 'uuid').oid, 2950)
    same(psycopg.types.range.RangeInfo.fetch(connection, 'int4range').subtype_oid, 23)


@check('several statements in one text give several results')
def _():
    cursor = connection.execute('SELECT 1; SELECT 2, 3')
    same(cursor.fetchall(), [(1,)])
    same(cursor.nextset(), True)
    same(cursor.fetchall(), [(2, 3)])


@check('stream() gives rows one by one')
def _():
    with connection.cursor() as cursor:
        same(sum(row[0] for row in cursor.stream('SELECT id FROM items')), 499500)


connection.execute(f'DROP SCHEMA {SCHEMA} CASCADE')
connection.close()
