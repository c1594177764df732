"""pgcli: what it asks the catalog for completion, its own commands, and the program itself."""
import importlib.metadata
import os
import pathlib
import subprocess
import sys
import urllib.parse

import psycopg
from pgcli.pgexecute import PGExecute
from pgspecial.main import PGSpecial

from checks import SCHEMA, START, URL, check, client, same

client('pgcli', importlib.metadata.version('pgcli'))
with psycopg.connect(URL, autocommit=True) as connection:
    connection.execute(START)
    connection.execute(f'SET search_path TO {SCHEMA}')
    connection.execute("CREATE TABLE items (id integer PRIMARY KEY, name varchar(30) NOT NULL DEFAULT 'x', price numeric(10,2))")
    connection.execute("INSERT INTO items VALUES (1, 'one', 1.5), (2, 'two', NULL)")
    connection.execute('CREATE VIEW dear AS SELECT id, price FROM items WHERE price > 1')

at = urllib.parse.urlsplit(URL)
asks = PGExecute(database=at.path[1:], user=at.username, host=at.hostname, port=at.port)


@check('schemas, the search path and databases')
def _():
    same(SCHEMA in asks.schemata(), True)
    same('public' in asks.search_path(), True)
    same(at.path[1:] in asks.databases(), True)
    asks.full_databases()


@check('tables, views and their columns')
def _():
    same((SCHEMA, 'items') in asks.tables(), True)
    same((SCHEMA, 'dear') in asks.views(), True)
    columns = [tuple(column) for column in asks.table_columns() if column[0] == SCHEMA]
    same([column[1:4] for column in columns], [('items', 'id', 'integer'), ('items', 'name', 'character varying'), ('items', 'price', 'numeric')])
    same(columns[1][5], "'x'::character varying")
    same([column[2] for column in asks.view_columns() if column[0] == SCHEMA], ['id', 'price'])


@check('keys, functions, types and casing')
def _():
    same([key for key in asks.foreignkeys() if key[0] == SCHEMA], [])
    same(len(list(asks.functions())) > 1000, True)
    list(asks.datatypes())
    list(asks.casing())


@check('the definition of a view')
def _():
    same('FROM' in asks.view_definition(f'{SCHEMA}.dear'), True)


@check('statements run, with their tags, and errors are shown')
def _():
    (_, rows, headers, status, *_), = asks.run(f'SELECT id, name FROM {SCHEMA}.items ORDER BY id')
    same((list(rows), headers, status), ([(1, 'one'), (2, 'two')], ['id', 'name'], 'SELECT 2'))
    results = list(asks.run('SELECT 1; SELECT 1/0; SELECT 2', on_error_resume=True, exception_formatter=lambda error, *_: str(error)))
    same(['division by zero' in str(result[3]) for result in results], [False, True, False])


special = PGSpecial()
for command in (r'\l', r'\l+', r'\dn', r'\dn+', r'\dt', r'\dt+ {}.*', r'\dv', r'\d {}.items', r'\d+ {}.items', r'\d {}.dear', r'\du', r'\du+', r'\df lower', r'\di', r'\ds',
                r'\dT int4', r'\db', r'\dx', r'\dD', r'\dp', r'\ddp', r'\dm', r'\dE'):
    @check(command.format('SCHEMA'))
    def _():
        for title, rows, _, status, *_ in asks.run(command.format(SCHEMA), pgspecial=special):
            text = f'{title} {status} {list(rows or [])}'
            if 'ERROR' in text or 'does not exist' in text:
                raise AssertionError(text)


@check('the program lists databases')
def _():
    home = os.environ.get('TMPDIR', '/tmp')
    program = pathlib.Path(sys.executable).parent / 'pgcli'
    listed = subprocess.run([program, '--list', URL], capture_output=True, text=True, timeout=60, env={**os.environ, 'HOME': home, 'XDG_CONFIG_HOME': home, 'PAGER': 'cat'})
    same(at.path[1:] in listed.stdout, True)


with psycopg.connect(URL, autocommit=True) as connection:
    connection.execute(f'DROP SCHEMA {SCHEMA} CASCADE')
