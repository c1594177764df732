"""psqlODBC (Debian's, through unixODBC and pyodbc): catalog functions, both ways to read, both ways to prepare, types, transactions."""
import datetime as dt
import decimal
import subprocess
import threading
import urllib.parse
import uuid

import pyodbc

from checks import SCHEMA, START, TYPED_TABLE, URL, check, client, same

at = urllib.parse.urlsplit(URL)
pyodbc.pooling = False


def connect(more='', autocommit=True):
    made = pyodbc.connect(f'Driver={{PostgreSQL Unicode}};Server={at.hostname};Port={at.port};Database={at.path[1:]};Uid={at.username};SSLmode=disable;{more}', autocommit=autocommit)
    made.execute(f'SET search_path TO {SCHEMA}')
    made.execute("SET TIME ZONE 'UTC'")
    if not autocommit:
        made.commit()
    return made


connection = pyodbc.connect(f'Driver={{PostgreSQL Unicode}};Server={at.hostname};Port={at.port};Database={at.path[1:]};Uid={at.username};SSLmode=disable', autocommit=True)
client('psqlODBC', connection.getinfo(pyodbc.SQL_DRIVER_VER))
connection.execute(START)
connection.execute(f'SET search_path TO {SCHEMA}')
connection.execute('CREATE TABLE items (id integer PRIMARY KEY, name varchar(30) NOT NULL, price numeric(10,2))')
connection.execute('CREATE TABLE pair (a integer, b bigint, v text, PRIMARY KEY (b, a))')
connection.execute(TYPED_TABLE.format('typed'))
connection.execute('CREATE VIEW dear AS SELECT id, price FROM items WHERE price > 100')
connection.execute("COMMENT ON TABLE items IS 'things'")

VALUES = {
    'i2': -32768, 'i4': 2147483647, 'i8': -9223372036854775808, 'f8': 1e300, 'num': decimal.Decimal('-12345678901234.567890'),
    'txt': 'zażółć 🦆 \\ \' "', 'vc': 'twenty', 'bc': 'ab   ', 'raw': b'\x00\xff\x10', 'day': dt.date(2024, 2, 29),
    'local': dt.datetime(1999, 12, 31, 23, 59, 59, 123456), 'instant': dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    'uid': uuid.UUID('00112233-4455-6677-8899-aabbccddeeff'), 'jb': '{"a": [1, null, "x"]}',
}
names = ', '.join(VALUES)


@check('parameters insert, and rowcount says how many')
def _():
    with connection.cursor() as cursor:
        cursor.executemany('INSERT INTO items VALUES (?, ?, ?)', [(n, f'item {n}', decimal.Decimal(n) / 4) for n in range(300)])
        same(cursor.execute("UPDATE items SET name = 'changed' WHERE id < ?", 3).rowcount, 3)
        same(cursor.execute('SELECT count(*), sum(id) FROM items').fetchone()[0], 300)


for options, how in (('UseServerSidePrepare=1', 'prepared by the server'), ('UseServerSidePrepare=0', 'written into the text'), ('UseServerSidePrepare=1;ByteaAsLongVarBinary=1;BoolsAsChar=0', 'with booleans as bits')):
    @check(f'values of every type go in and come back, {how}')
    def _():
        own = connect(options)
        own.execute('DELETE FROM typed')
        own.execute(f'INSERT INTO typed (id, {names}) VALUES (?{", ?" * len(VALUES)})', 1, *VALUES.values())
        got = dict(zip(VALUES, own.execute(f'SELECT {names} FROM typed WHERE id = ?', 1).fetchone()))
        got['uid'] = uuid.UUID(str(got['uid']))
        same(got, VALUES)
        own.execute(f'INSERT INTO typed (id, {names}) VALUES (?{", ?" * len(VALUES)})', 2, *[None] * len(VALUES))
        same(tuple(own.execute(f'SELECT {names} FROM typed WHERE id = ?', 2).fetchone()), (None,) * len(VALUES))
        own.execute("INSERT INTO typed (id, flag, clock, ints) VALUES (3, ?, ?, ?)", True, dt.time(1, 2, 3), '{1,2}')
        same(str(own.execute('SELECT flag FROM typed WHERE id = 3').fetchone()[0]) in ('1', 'True'), True)
        same(tuple(own.execute('SELECT clock, ints FROM typed WHERE id = 3').fetchone()), (dt.time(1, 2, 3), '{1,2}'))
        own.close()


for options, how in (('UseDeclareFetch=1;Fetch=40', 'by a declared cursor'), ('UseDeclareFetch=0', 'whole')):
    @check(f'a result is read {how}')
    def _():
        own = connect(options)
        same([row[0] for row in own.execute('SELECT id FROM items ORDER BY id')], list(range(300)))
        same([row[0] for row in own.execute('SELECT id FROM items WHERE id >= ? ORDER BY id', 290)], list(range(290, 300)))
        first = own.cursor().execute('SELECT id FROM items ORDER BY id')
        second = own.cursor().execute('SELECT id FROM items ORDER BY id DESC')
        same((first.fetchone()[0], second.fetchone()[0], first.fetchone()[0]), (0, 299, 1))
        own.close()

    @check(f'in a transaction, too, {how}')
    def _():
        own = connect(options, autocommit=False)
        same(len(own.execute('SELECT id FROM items').fetchmany(50)), 50)
        own.execute('DELETE FROM items WHERE id = 5')
        own.rollback()
        same(own.execute('SELECT count(*) FROM items').fetchone()[0], 300)
        own.rollback()
        own.close()


for protocol, what in (('7.4-0', 'the transaction'), ('7.4-1', 'nothing'), ('7.4-2', 'the statement')):
    @check(f'an error rolls back {what} (Protocol={protocol})')
    def _():
        own = connect(f'Protocol={protocol}', autocommit=False)
        own.commit()
        own.execute("UPDATE items SET name = 'kept' WHERE id = 9")
        try:
            own.execute("INSERT INTO items VALUES (9, 'x')")
            raise KeyError('23505 was expected')
        except pyodbc.Error as error:
            same(error.args[0], '23505')
        if protocol == '7.4-2':
            same(own.execute('SELECT name FROM items WHERE id = 9').fetchone()[0], 'kept')
        own.rollback()
        same(own.execute('SELECT name FROM items WHERE id = 9').fetchone()[0], 'item 9')
        own.rollback()
        own.close()


@check('SQLTables')
def _():
    got = [(row.table_name, row.table_type) for row in connection.cursor().tables(schema=SCHEMA)]
    same(sorted(got), [('dear', 'VIEW'), ('items', 'TABLE'), ('pair', 'TABLE'), ('typed', 'TABLE')])
    same(SCHEMA in [row.table_schem for row in connection.cursor().tables(schema='%', catalog='', table='')], True)


@check('SQLColumns')
def _():
    got = [(row.column_name, row.type_name, row.column_size, row.decimal_digits, row.nullable) for row in connection.cursor().columns(table='items', schema=SCHEMA)]
    same(got, [('id', 'int4', 10, 0, 0), ('name', 'varchar', 30, None, 0), ('price', 'numeric', 10, 2, 1)])
    same(len(connection.cursor().columns(table='typed', schema=SCHEMA).fetchall()), 20)


@check('SQLPrimaryKeys and SQLSpecialColumns')
def _():
    same([(row.column_name, row.key_seq) for row in connection.cursor().primaryKeys('pair', schema=SCHEMA)], [('b', 1), ('a', 2)])
    connection.cursor().rowIdColumns('items', schema=SCHEMA).fetchall()
    connection.cursor().rowVerColumns('items', schema=SCHEMA).fetchall()


@check('SQLStatistics and SQLForeignKeys')
def _():
    got = [row.column_name for row in connection.cursor().statistics('pair', schema=SCHEMA, unique=True) if row.column_name]
    same(got, ['b', 'a'])
    same(connection.cursor().foreignKeys(table='items', schema=SCHEMA).fetchall(), [])
    same(connection.cursor().foreignKeys(foreignTable='items', foreignSchema=SCHEMA).fetchall(), [])


@check('SQLGetTypeInfo, SQLProcedures and SQLProcedureColumns')
def _():
    same('int4' in [row.type_name for row in connection.cursor().getTypeInfo()], True)
    connection.cursor().procedures(schema=SCHEMA).fetchall()
    connection.cursor().procedureColumns(schema=SCHEMA).fetchall()


@check('a result is described, with the precision and nullability of its columns')
def _():
    description = connection.execute('SELECT id, name, price FROM items WHERE id < 0').description
    same([(d[0], d[1], d[4] if d[0] != 'name' else d[3], d[5], d[6]) for d in description],
         [('id', int, 10, 0, False), ('name', str, 30, 0, False), ('price', decimal.Decimal, 10, 2, True)])


@check('SQLGetInfo')
def _():
    same(connection.getinfo(pyodbc.SQL_DBMS_NAME), 'PostgreSQL')
    same(int(connection.getinfo(pyodbc.SQL_DBMS_VER).split('.')[0]) >= 15, True)
    same(connection.getinfo(pyodbc.SQL_USER_NAME), at.username)


@check('cancel() from another thread ends a statement with 57014')
def _():
    cursor = connection.cursor()
    timer = threading.Timer(0.3, cursor.cancel)
    timer.start()
    try:
        cursor.execute('SELECT pg_sleep(20)')
        raise KeyError('57014 was expected')
    except pyodbc.Error as error:
        same(error.args[0], '57014')
    timer.join()
    same(connection.execute('SELECT 1').fetchone()[0], 1)


@check('several results of one text')
def _():
    cursor = connection.execute('SELECT 1; SELECT 2')
    same(cursor.fetchone()[0], 1)
    same(cursor.nextset(), True)
    same(cursor.fetchone()[0], 2)


@check('isql connects, asks and ends')
def _():
    text = f'DRIVER={{PostgreSQL Unicode}};SERVER={at.hostname};PORT={at.port};DATABASE={at.path[1:]};UID={at.username}'
    got = subprocess.run(['isql', '-b', '-v', '-k', text], input=f'SELECT name FROM {SCHEMA}.items WHERE id = 7\n', capture_output=True, text=True, timeout=60).stdout
    same('item 7' in got, True)


connection.execute(f'DROP SCHEMA {SCHEMA} CASCADE')
connection.close()
