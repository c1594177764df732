"""Npgsql itself, on the .NET runtime that a Python package carries: types, parameters, preparing, batches, COPY in binary and text, schemas,
errors, notifications, cancel, pooling."""
import contextlib
import json
import os
import stat
import sys
import tempfile
import urllib.parse

import dotnetcore2
from clr_loader import get_coreclr
from pythonnet import load

from checks import SCHEMA, START, TYPED_TABLE, URL, check, client, same

RUNTIME = '3.1.23'
root = os.path.join(os.path.dirname(dotnetcore2.__file__), 'bin')
os.environ['DOTNET_SYSTEM_GLOBALIZATION_INVARIANT'] = '1'
os.environ['DOTNET_CLI_TELEMETRY_OPTOUT'] = '1'
os.chmod(os.path.join(root, 'dotnet'), stat.S_IRWXU)
with tempfile.NamedTemporaryFile('w', suffix='.runtimeconfig.json') as config:
    json.dump({'runtimeOptions': {'tfm': 'netcoreapp3.1', 'framework': {'name': 'Microsoft.NETCore.App', 'version': RUNTIME}}}, config)
    config.flush()
    load(get_coreclr(runtime_config=config.name, dotnet_root=root))

import clr  # noqa: E402

sys.path.append(os.environ['COMPAT_NPGSQL'])
clr.AddReference('Npgsql')
clr.AddReference('System.Data.Common')
from System import Array, Byte, DateTime, DateTimeKind, DBNull, Decimal, Double, Guid, Int16, Int32, Int64, Single, String, TimeSpan  # noqa: E402
from System.Data import CommandBehavior, IsolationLevel  # noqa: E402
from System.Threading import CancellationTokenSource  # noqa: E402
from Npgsql import NpgsqlCommand, NpgsqlConnection, NpgsqlParameter, PostgresException  # noqa: E402
from NpgsqlTypes import NpgsqlDbType  # noqa: E402

client('Npgsql', str(clr.AddReference('Npgsql').GetName().Version).removesuffix('.0'))
url = urllib.parse.urlparse(URL)
ADDRESS = f'Host={url.hostname};Port={url.port or 5432};Username={url.username or "arka"};Database={url.path[1:] or "arka"};SSL Mode=Disable'
if url.password:
    ADDRESS += f';Password={url.password}'


def opened(more=''):
    it = NpgsqlConnection(f'{ADDRESS};Search Path={SCHEMA}{more}')
    it.Open()
    return it


start = NpgsqlConnection(ADDRESS)
start.Open()
NpgsqlCommand(START, start).ExecuteNonQuery()
start.Close()
connection = opened()


def arrays(kind):
    return NpgsqlDbType(int(NpgsqlDbType.Array) | int(kind), True)


def command(text, *values, on=None, transaction=None):
    it = NpgsqlCommand(text, on or connection)
    if transaction is not None:
        it.Transaction = transaction
    for n, value in enumerate(values):
        kind, value = value if isinstance(value, tuple) else (None, value)
        parameter = NpgsqlParameter() if kind is None else NpgsqlParameter(f'p{n + 1}', kind)
        parameter.ParameterName = f'p{n + 1}'
        parameter.Value = DBNull.Value if value is None else Int32(value) if type(value) is int else value
        it.Parameters.Add(parameter)
    return it


def run(text, *values, **where):
    return command(text, *values, **where).ExecuteNonQuery()


def of(value):
    return None if isinstance(value, DBNull) else str(value) if isinstance(value, (Decimal, Guid, TimeSpan)) else value


def taken(reader):
    rows = []
    while reader.Read():
        rows.append(tuple(of(reader.GetValue(n)) for n in range(reader.FieldCount)))
    return rows


@contextlib.contextmanager
def closing(it):
    try:
        yield it
    finally:
        it.Dispose()


def ask(text, *values, **where):
    with closing(command(text, *values, **where).ExecuteReader()) as reader:
        return taken(reader)


def refused(sqlstate, function):
    try:
        function()
    except PostgresException as error:
        same(error.SqlState, sqlstate)
        return error
    raise AssertionError(f'{sqlstate} was expected')


run('CREATE TABLE items (id integer PRIMARY KEY, name text, price numeric(10,2))')
run(TYPED_TABLE.format('typed'))


@check('the types of the server are loaded when a session opens, and its version is read')
def _():
    same(connection.PostgreSqlVersion.Major >= 15, True)
    same(connection.ProcessID, ask('SELECT pg_backend_pid()')[0][0])
    same(connection.Timezone in ('UTC', 'Etc/UTC', 'GMT'), True)


@check('values of every type come back in binary')
def _():
    run("INSERT INTO typed VALUES (1, -32768, 2147483647, -9223372036854775808, 0.5, 1e300, -12345678901234.567890, true, 'zażółć 🦆', 'twenty', 'ab', "
        "'\\x00ff10', '2024-02-29', '23:59:59.999999', '1999-12-31 23:59:59.123456', '2026-01-02 03:04:05.000006+00', '00112233-4455-6677-8899-aabbccddeeff', "
        "'{\"a\": [1, null]}', '{1,2,3}', '{a,NULL,\"b c\"}')")
    with closing(command('SELECT * FROM typed').ExecuteReader()) as reader:
        reader.Read()
        same([reader.GetDataTypeName(n) for n in range(1, 8)], ['smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric(20, 6)', 'boolean'])
        same([of(reader.GetValue(n)) for n in range(11)],
             [1, -32768, 2147483647, -9223372036854775808, 0.5, 1e300, '-12345678901234.567890', True, 'zażółć 🦆', 'twenty', 'ab   '])
        same(bytes(reader.GetFieldValue[Array[Byte]](11)), b'\x00\xff\x10')
        same(reader.GetDateTime(12).ToString('yyyy-MM-dd'), '2024-02-29')
        same(str(reader.GetTimeSpan(13)), '23:59:59.9999990')
        same(reader.GetDateTime(14).ToString('yyyy-MM-dd HH:mm:ss.ffffff'), '1999-12-31 23:59:59.123456')
        same(reader.GetDateTime(15).ToUniversalTime().ToString('yyyy-MM-dd HH:mm:ss.ffffff'), '2026-01-02 03:04:05.000006')
        same(str(reader.GetGuid(16)), '00112233-4455-6677-8899-aabbccddeeff')
        same(reader.GetString(17), '{"a": [1, null]}')
        same(list(reader.GetFieldValue[Array[Int32]](18)), [1, 2, 3])
        same(list(reader.GetFieldValue[Array[String]](19)), ['a', None, 'b c'])


@check('parameters of every type go in, in binary')
def _():
    kinds = NpgsqlDbType
    values = [(kinds.Smallint, Int16(7)), (kinds.Integer, Int32(8)), (kinds.Bigint, Int64(9)), (kinds.Real, Single(0.5)), (kinds.Double, Double(1e300)),
              (kinds.Numeric, Decimal.Parse('-1.500000')), (kinds.Boolean, True), (kinds.Text, 'zażółć'), (kinds.Varchar, 'twenty'), (kinds.Char, 'ab'),
              (kinds.Bytea, Array[Byte]([0, 255])), (kinds.Date, DateTime(2024, 2, 29)), (kinds.Time, TimeSpan(0, 1, 2, 3)),
              (kinds.Timestamp, DateTime(1999, 12, 31, 23, 59, 59)), (kinds.TimestampTz, DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc)),
              (kinds.Uuid, Guid.Parse('00112233-4455-6677-8899-aabbccddeeff')), (kinds.Jsonb, '{"b": 1}'),
              (arrays(kinds.Integer), Array[Int32]([1, 2])), (arrays(kinds.Text), Array[String](['x', None]))]
    run(f'INSERT INTO typed VALUES (2, {", ".join(f"@p{n + 1}" for n in range(len(values)))})', *values)
    got = ask("SELECT i2, i4, i8, f4, f8, num::text, flag, txt, vc, bc::text, raw::text, day::text, clock::text, local::text, (instant AT TIME ZONE 'UTC')::text, "
              'uid::text, jb::text, ints::text, texts::text FROM typed WHERE id = 2')
    same(got, [(7, 8, 9, 0.5, 1e300, '-1.500000', True, 'zażółć', 'twenty', 'ab', '\\x00ff', '2024-02-29', '01:02:03', '1999-12-31 23:59:59',
                '2026-01-02 03:04:05', '00112233-4455-6677-8899-aabbccddeeff', '{"b": 1}', '{1,2}', '{x,NULL}')])


@check('NULL goes in and comes back for every type')
def _():
    with closing(command('SELECT * FROM typed LIMIT 0').ExecuteReader()) as reader:
        columns = reader.FieldCount - 1
    run(f'INSERT INTO typed VALUES (3{", NULL" * columns})')
    same(ask('SELECT * FROM typed WHERE id = 3'), [(3, *[None] * columns)])
    run('UPDATE typed SET txt = @p1 WHERE id = @p2', (NpgsqlDbType.Text, None), 2)
    same(ask('SELECT txt FROM typed WHERE id = 2'), [(None,)])


@check('a prepared statement runs again and again')
def _():
    it = command('INSERT INTO items VALUES (@p1, @p2, @p3)', (NpgsqlDbType.Integer, 0), (NpgsqlDbType.Text, ''), (NpgsqlDbType.Numeric, Decimal.Zero))
    it.Prepare()
    same(it.IsPrepared, True)
    for n in range(500):
        it.Parameters[0].Value, it.Parameters[1].Value, it.Parameters[2].Value = Int32(n), f'item {n}', Decimal.Divide(Decimal(n), Decimal(4))
        same(it.ExecuteNonQuery(), 1)
    same(ask('SELECT count(*), sum(id), sum(price) FROM items'), [(500, 124750, '31187.50')])
    it.Unprepare()
    same(ask('SELECT count(*) FROM pg_prepared_statements'), [(0,)])


@check('statements that run often are prepared by themselves')
def _():
    other = opened(';Max Auto Prepare=10;Auto Prepare Min Usages=2')
    for n in range(6):
        same(ask('SELECT name FROM items WHERE id = @p1', n, on=other), [(f'item {n}',)])
    same(ask('SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE $$%FROM items WHERE id%$$', on=other), [(1,)])
    other.Close()


@check('several statements in one command give their results in turn')
def _():
    with closing(command('SELECT 1; UPDATE items SET price = price WHERE id < 10; SELECT name FROM items WHERE id = @p1', 4).ExecuteReader()) as reader:
        same(taken(reader), [(1,)])
        same(reader.NextResult(), True)
        same(taken(reader), [('item 4',)])
        same(reader.NextResult(), False)
        same(reader.RecordsAffected, 10)


@check('ExecuteScalar, RecordsAffected and HasRows')
def _():
    same(command('SELECT max(id) FROM items').ExecuteScalar(), 499)
    same(run('UPDATE items SET price = price + 1 WHERE id < 3'), 3)
    same(run('DELETE FROM items WHERE id = 499'), 1)
    with closing(command('SELECT * FROM items WHERE false').ExecuteReader()) as reader:
        same((reader.HasRows, reader.FieldCount), (False, 3))


@check('transactions commit, roll back, and go back to a savepoint; their isolation is set')
def _():
    transaction = connection.BeginTransaction(IsolationLevel.RepeatableRead)
    same(ask('SHOW transaction_isolation'), [('repeatable read',)])
    run("INSERT INTO items VALUES (1000, 'kept', 1)")
    transaction.Save('here')
    run("INSERT INTO items VALUES (1001, 'lost', 1)")
    transaction.Rollback('here')
    transaction.Commit()
    transaction = connection.BeginTransaction()
    run('DELETE FROM items')
    transaction.Rollback()
    same(ask('SELECT count(*), max(id) FROM items'), [(500, 1000)])


@check('errors have code, text, detail, place, constraint and table')
def _():
    error = refused('23505', lambda: run('INSERT INTO items VALUES (1)'))
    same((error.ConstraintName, error.TableName, error.SchemaName, error.Detail), ('items_pkey', 'items', SCHEMA, 'Key (id)=(1) already exists.'))
    error = refused('42703', lambda: ask('SELECT nope FROM items'))
    same((error.MessageText, error.Position), ('column "nope" does not exist', 8))
    refused('42601', lambda: run('SELEC'))
    refused('22012', lambda: ask('SELECT 1 / @p1', 0))
    refused('22P02', lambda: ask("SELECT 'x'::int"))
    same(ask('SELECT 1'), [(1,)])


@check('a failed transaction answers 25P02 until it is rolled back')
def _():
    transaction = connection.BeginTransaction()
    refused('22012', lambda: ask('SELECT 1/0'))
    refused('25P02', lambda: ask('SELECT 1'))
    transaction.Rollback()
    same(ask('SELECT 1'), [(1,)])


@check('binary COPY takes rows, and gives them')
def _():
    run('CREATE TABLE copied (id integer, name text, price numeric(10,2), at timestamptz, tags text[])')
    with closing(connection.BeginBinaryImport('COPY copied FROM STDIN (FORMAT BINARY)')) as writer:
        for n in range(1000):
            writer.StartRow()
            writer.Write[Int32](n, NpgsqlDbType.Integer)
            writer.Write[String](f'name {n}', NpgsqlDbType.Text) if n % 10 else writer.WriteNull()
            writer.Write[Decimal](Decimal.Divide(Decimal(n), Decimal(4)), NpgsqlDbType.Numeric)
            writer.Write[DateTime](DateTime(2026, 1, 2, 3, 4, n % 60, DateTimeKind.Utc), NpgsqlDbType.TimestampTz)
            writer.Write[Array[String]](Array[String]([f't{n}', 'u']), arrays(NpgsqlDbType.Text))
        writer.Complete()
    same(ask('SELECT count(*), count(name), sum(price), max(tags[1]) FROM copied'), [(1000, 900, '124875.00', 't999')])
    with closing(connection.BeginBinaryExport('COPY (SELECT id, name, price FROM copied ORDER BY id) TO STDOUT (FORMAT BINARY)')) as reader:
        got = []
        while reader.StartRow() != -1:
            number = reader.Read[Int32](NpgsqlDbType.Integer)
            name = None
            if reader.IsNull:
                reader.Skip()
            else:
                name = reader.Read[String](NpgsqlDbType.Text)
            got.append((number, name, str(reader.Read[Decimal](NpgsqlDbType.Numeric))))
    same((len(got), got[0], got[999]), (1000, (0, None, '0.00'), (999, 'name 999', '249.75')))


@check('a binary COPY that is not completed leaves nothing')
def _():
    with closing(connection.BeginBinaryImport('COPY copied (id) FROM STDIN (FORMAT BINARY)')) as writer:
        writer.StartRow()
        writer.Write[Int32](5000, NpgsqlDbType.Integer)
    same(ask('SELECT count(*) FROM copied'), [(1000,)])


@check('text COPY takes rows, and gives them')
def _():
    with closing(connection.BeginTextImport('COPY copied (id, name) FROM STDIN')) as writer:
        writer.Write('2000\tduck 🦆\n2001\t\\N\n')
    with closing(connection.BeginTextExport('COPY (SELECT id, name FROM copied WHERE id >= 2000 ORDER BY id) TO STDOUT (FORMAT csv)')) as reader:
        same(reader.ReadToEnd(), '2000,duck 🦆\n2001,\n')


@check('the schema of a result has keys, types, places and what may be NULL')
def _():
    with closing(command('SELECT id, name, price FROM items').ExecuteReader(CommandBehavior.SchemaOnly | CommandBehavior.KeyInfo)) as reader:
        columns = list(reader.GetColumnSchema())
        same([(c.ColumnName, c.DataTypeName, c.IsKey, c.AllowDBNull, c.BaseTableName, c.BaseSchemaName, c.ColumnAttributeNumber) for c in columns],
             [('id', 'integer', True, False, 'items', SCHEMA, 0), ('name', 'text', False, True, 'items', SCHEMA, 1), ('price', 'numeric', False, True, 'items', SCHEMA, 2)])
        same((columns[2].NumericPrecision, columns[2].NumericScale), (10, 2))


@check('GetSchema lists databases, tables, columns, views, users, indexes, constraints')
def _():
    run('CREATE VIEW dear AS SELECT id FROM items WHERE price > 100')
    table = connection.GetSchema('Tables', Array[String]([None, SCHEMA, 'items', None]))
    same((table.Rows.Count, table.Rows[0]['table_type']), (1, 'BASE TABLE'))
    columns = connection.GetSchema('Columns', Array[String]([None, SCHEMA, 'items']))
    same(sorted(row['column_name'] for row in columns.Rows), ['id', 'name', 'price'])
    same(connection.GetSchema('Views', Array[String]([None, SCHEMA])).Rows.Count, 1)
    same(connection.GetSchema('Databases').Rows.Count > 0 and connection.GetSchema('Users').Rows.Count > 0, True)
    same('items_pkey' in [row['index_name'] for row in connection.GetSchema('Indexes').Rows], True)
    same('items_pkey' in [row['constraint_name'] for row in connection.GetSchema('Constraints').Rows], True)
    for name in ('IndexColumns', 'PrimaryKey', 'UniqueKeys', 'ForeignKeys', 'ConstraintColumns'):
        connection.GetSchema(name)


@check('a command builder makes INSERT, UPDATE and DELETE for a data table')
def _():
    from System.Data import DataTable
    from Npgsql import NpgsqlCommandBuilder, NpgsqlDataAdapter
    adapter = NpgsqlDataAdapter('SELECT id, name FROM items WHERE id < 3 ORDER BY id', connection)
    builder = NpgsqlCommandBuilder(adapter)
    table = DataTable()
    same(adapter.Fill(table), 3)
    table.Rows[0]['name'] = 'by a data table'
    same(adapter.Update(table), 1)
    same(ask('SELECT name FROM items WHERE id = 0'), [('by a data table',)])
    builder.Dispose()


@check('a command that takes too long is cancelled, and the session goes on')
def _():
    it = command('SELECT pg_sleep(20)')
    source = CancellationTokenSource()
    source.CancelAfter(300)
    task = it.ExecuteNonQueryAsync(source.Token)
    try:
        task.Wait()
    except Exception as error:  # an AggregateException
        inner = error.InnerException
        same(getattr(inner, 'SqlState', None) or getattr(getattr(inner, 'InnerException', None), 'SqlState', None) or type(inner).__name__, '57014')
    else:
        raise AssertionError('57014 was expected')
    same(ask('SELECT 1'), [(1,)])


@check('NOTIFY reaches a connection that waits')
def _():
    heard = []
    listening = opened()
    listening.Notification += lambda _, event: heard.append((event.Condition, event.AdditionalInformation))
    run(f'LISTEN {SCHEMA}', on=listening)
    run(f"NOTIFY {SCHEMA}, 'hello'")
    same(listening.Wait(5000), True)
    same(heard, [(SCHEMA, 'hello')])
    listening.Close()


@check('notices are heard')
def _():
    heard = []
    connection.Notice += lambda _, event: heard.append(event.Notice.MessageText)
    run('DROP TABLE IF EXISTS not_there')
    same(heard, ['table "not_there" does not exist, skipping'])


@check('a pooled connection is reset: settings, temporary tables, prepared statements')
def _():
    pool = ';Maximum Pool Size=1;Application Name=pooled'
    first = opened(pool)
    run("SET statement_timeout = '7s'", on=first)
    run('CREATE TEMP TABLE mine (a int)', on=first)
    backend = first.ProcessID
    first.Close()
    again = opened(pool)
    same(again.ProcessID, backend)
    same(ask('SHOW statement_timeout', on=again), [('0',)])
    refused('42P01', lambda: ask('SELECT * FROM mine', on=again))
    again.Close()


@check('a large result is read row by row')
def _():
    with closing(command("SELECT n, repeat('x', 100) FROM generate_series(1, 100000) AS n").ExecuteReader(CommandBehavior.SequentialAccess)) as reader:
        rows, total = 0, 0
        while reader.Read():
            rows += 1
            total += reader.GetInt32(0)
    same((rows, total), (100000, 5000050000))


NpgsqlCommand(f'DROP SCHEMA {SCHEMA} CASCADE', connection).ExecuteNonQuery()
connection.Close()
NpgsqlConnection.ClearAllPools()
