"""psycopg 2: client-side parameters, named cursors, COPY by files, execute_values, isolation, notices, cancel."""
import datetime as dt
import decimal
import io
import threading

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import psycopg2.extras

from checks import SCHEMA, START, TYPED_TABLE, URL, check, client, raises, same, values_of_python

client('psycopg 2', psycopg2.__version__.split()[0])
psycopg2.extras.register_uuid()
connection = psycopg2.connect(URL)
connection.autocommit = True
cursor = connection.cursor()
cursor.execute(START)
cursor.execute(f'SET search_path TO {SCHEMA}')
cursor.execute("SET TIME ZONE 'UTC'")
cursor.execute('CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2))')
cursor.execute(TYPED_TABLE.format('typed'))

VALUES = values_of_python(f4=0.1, jb={'a': [1, None, 'x']})
names = ', '.join(VALUES)


def one(text, parameters=None):
    cursor.execute(text, parameters)
    return cursor.fetchone()


def roll_back():
    connection.rollback()


@check('executemany, execute_batch and execute_values insert')
def _():
    cursor.executemany('INSERT INTO items VALUES (%s, %s, %s)', [(n, f'item {n}', decimal.Decimal(n) / 4) for n in range(20)])
    psycopg2.extras.execute_batch(cursor, 'INSERT INTO items VALUES (%s, %s, %s)', [(n, f'item {n}', n) for n in range(20, 500)])
    got = psycopg2.extras.execute_values(
        cursor, 'INSERT INTO items VALUES %s RETURNING id', [(n, f'item {n}', n) for n in range(500, 1000)], fetch=True)
    same(len(got), 500)
    same(one('SELECT count(*), sum(id) FROM items'), (1000, 499500))


@check('values of every type go in and come back')
def _():
    values = [psycopg2.extras.Json(v) if c == 'jb' else v for c, v in VALUES.items()]
    cursor.execute(f'INSERT INTO typed (id, {names}) VALUES (%s{", %s" * len(values)})', [1, *values])
    cursor.execute(f'SELECT {names} FROM typed')
    got = dict(zip(VALUES, cursor.fetchone()))
    got['raw'] = bytes(got['raw'])
    same(got, VALUES)


@check('a description has names, type OIDs, precision and scale')
def _():
    cursor.execute('SELECT id, name, price FROM items LIMIT 0')
    same([(c.name, c.type_code) for c in cursor.description], [('id', 23), ('name', 25), ('price', 1700)])
    same((cursor.description[2].precision, cursor.description[2].scale), (10, 2))
    same([(c.table_column, c.table_oid > 0) for c in cursor.description], [(1, True), (2, True), (3, True)])


@check('rowcount and statusmessage')
def _():
    cursor.execute("UPDATE items SET name = 'changed' WHERE id < 3")
    same((cursor.rowcount, cursor.statusmessage), (3, 'UPDATE 3'))
    cursor.execute('DELETE FROM items WHERE id = 999 RETURNING id, name')
    same(cursor.fetchall(), [(999, 'item 999')])
    cursor.execute("INSERT INTO items VALUES (999, 'item 999', 999)")
    same(cursor.statusmessage, 'INSERT 0 1')


@check('a named cursor fetches in portions')
def _():
    connection.autocommit = False
    with connection.cursor('portions') as named:
        named.itersize = 128
        named.execute('SELECT id FROM items ORDER BY id')
        same([row[0] for row in named], list(range(1000)))
    connection.commit()
    connection.autocommit = True


@check('a scrollable named cursor goes back and to a place')
def _():
    connection.autocommit = False
    with connection.cursor('scrolling', scrollable=True) as named:
        named.execute('SELECT id FROM items ORDER BY id')
        same(named.fetchmany(3), [(0,), (1,), (2,)])
        named.scroll(-2)
        same(named.fetchone(), (1,))
        named.scroll(500, mode='absolute')
        same(named.fetchone(), (500,))
    connection.commit()
    connection.autocommit = True


@check('a named cursor WITH HOLD outlives its transaction')
def _():
    connection.autocommit = False
    named = connection.cursor('held', withhold=True)
    named.execute('SELECT id FROM items ORDER BY id')
    same(named.fetchone(), (0,))
    connection.commit()
    same(len(named.fetchall()), 999)
    named.close()
    connection.commit()
    connection.autocommit = True


@check('copy_from, copy_to and copy_expert')
def _():
    cursor.execute('CREATE TABLE copied (id int, name text)')
    cursor.copy_from(io.StringIO('1\ta\n2\t\\N\n'), 'copied', columns=('id', 'name'))
    out = io.StringIO()
    cursor.copy_to(out, 'copied', sep='|', null='nil')
    same(sorted(out.getvalue().split()), ['1|a', '2|nil'])
    cursor.copy_expert('COPY copied FROM STDIN WITH (FORMAT csv, HEADER)', io.StringIO('id,name\n3,"x,y"\n'))
    same(cursor.rowcount, 1)
    out = io.StringIO()
    cursor.copy_expert('COPY (SELECT * FROM copied WHERE id = 3) TO STDOUT CSV', out)
    same(out.getvalue(), '3,"x,y"\n')


@check('errors have their classes, codes, positions and diagnostics')
def _():
    error = raises(psycopg2.errors.UniqueViolation, lambda: cursor.execute('INSERT INTO items VALUES (1)'), '23505')
    same((error.diag.constraint_name, error.diag.table_name, error.diag.message_detail), ('items_pkey', 'items', 'Key (id)=(1) already exists.'))
    error = raises(psycopg2.errors.UndefinedColumn, lambda: cursor.execute('SELECT nope FROM items'), '42703')
    same(error.diag.statement_position, '8')
    raises(psycopg2.errors.SyntaxError, lambda: cursor.execute('SELEC'), '42601')


@check('a failed transaction answers 25P02 until it is rolled back')
def _():
    connection.autocommit = False
    try:
        raises(psycopg2.errors.DivisionByZero, lambda: cursor.execute('SELECT 1/0'))
        raises(psycopg2.errors.InFailedSqlTransaction, lambda: cursor.execute('SELECT 1'))
        same(connection.get_transaction_status(), psycopg2.extensions.TRANSACTION_STATUS_INERROR)
    finally:
        connection.rollback()
        connection.autocommit = True


@check('set_session sets isolation level and read only; with-blocks commit and roll back')
def _():
    other = psycopg2.connect(URL)
    other.set_session(isolation_level='REPEATABLE READ', readonly=True)
    with other, other.cursor() as it:
        it.execute('SHOW transaction_isolation')
        same(it.fetchone(), ('repeatable read',))
    with other.cursor() as it:
        raises(psycopg2.errors.ReadOnlySqlTransaction, lambda: it.execute(f'DELETE FROM {SCHEMA}.items'))
    other.rollback()
    other.close()


@check('reset() leaves nothing of a session')
def _():
    other = psycopg2.connect(URL)
    with other.cursor() as it:
        it.execute("SET application_name = 'mine'")
    other.reset()
    with other.cursor() as it:
        it.execute('SHOW application_name')
        same(it.fetchone(), ('',))
    other.close()


@check('parameters of the session are reported')
def _():
    same(connection.encoding, 'UTF8')
    same(connection.get_parameter_status('integer_datetimes'), 'on')
    same(connection.server_version >= 150000, True)
    same(connection.info.backend_pid, one('SELECT pg_backend_pid()')[0])


@check('cancel() from another thread ends a statement with 57014')
def _():
    timer = threading.Timer(0.2, connection.cancel)
    timer.start()
    raises(psycopg2.errors.QueryCanceled, lambda: cursor.execute('SELECT pg_sleep(20)'))
    timer.join()
    same(one('SELECT 1'), (1,))


@check('NOTIFY reaches a connection that listens')
def _():
    cursor.execute(f'LISTEN {SCHEMA}')
    cursor.execute(f"NOTIFY {SCHEMA}, 'hello'")
    connection.poll()
    same([(n.channel, n.payload) for n in connection.notifies], [(SCHEMA, 'hello')])


@check('notices are kept')
def _():
    del connection.notices[:]
    cursor.execute('DROP TABLE IF EXISTS not_there')
    same(connection.notices, ['NOTICE:  table "not_there" does not exist, skipping\n'])


@check('rows as dictionaries and as named tuples')
def _():
    with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as it:
        it.execute('SELECT id, price FROM items WHERE id = 4')
        same(dict(it.fetchone()), {'id': 4, 'price': decimal.Decimal('1.00')})
    with connection.cursor(cursor_factory=psycopg2.extras.NamedTupleCursor) as it:
        it.execute('SELECT id, name FROM items WHERE id = 4')
        same(it.fetchone().name, 'item 4')


@check('lists are arrays, tuples are lists of IN')
def _():
    same(one('SELECT count(*) FROM items WHERE id = ANY(%s)', ([1, 2, 3],)), (3,))
    same(one('SELECT count(*) FROM items WHERE id IN %s', ((1, 2, 3),)), (3,))
    same(one('SELECT %s, %s', ([['a', None], ['b', 'c']], dt.timedelta(days=1, seconds=5))), ([['a', None], ['b', 'c']], dt.timedelta(days=1, seconds=5)))


@check('two-phase commit is refused by name, or done')
def _():
    other = psycopg2.connect(URL)
    xid = other.xid(1, SCHEMA, 'b')
    other.tpc_begin(xid)
    try:
        other.tpc_prepare()
    except psycopg2.Error as error:
        same(error.pgcode in ('0A000', '55000'), True)
    else:
        other.tpc_rollback()
    other.close()


cursor.execute(f'DROP SCHEMA {SCHEMA} CASCADE')
connection.close()
