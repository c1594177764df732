"""dbt with dbt-postgres: debug, seed, run (view, table, incremental), test, snapshot, docs, show; each command a process, as people run it."""
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.parse

import psycopg2

from checks import SCHEMA, URL, check, client, same

client('dbt-postgres', importlib.metadata.version('dbt-postgres'))
at = urllib.parse.urlsplit(URL)
folder = tempfile.mkdtemp(prefix='arka-dbt-')
project = pathlib.Path(folder, 'project')
shutil.copytree(pathlib.Path(__file__).parent / 'project', project)
pathlib.Path(folder, 'profiles.yml').write_text(f'''shop:
  target: dev
  outputs:
    dev: {{type: postgres, host: "{at.hostname}", port: {at.port}, user: "{at.username}", password: "x", dbname: "{at.path[1:]}", schema: "{SCHEMA}", threads: 3}}
''')
connection = psycopg2.connect(URL)
connection.autocommit = True


def ask(text):
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall() if cursor.description else None


def dbt(*arguments):
    """What it says; an error when it fails."""
    command = [str(pathlib.Path(sys.executable).parent / 'dbt'), '--no-use-colors', '--no-send-anonymous-usage-stats', *arguments]
    ran = subprocess.run(command, cwd=project, env={**os.environ, 'DBT_PROFILES_DIR': folder}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if ran.returncode != 0:
        raise AssertionError(' '.join(line for line in ran.stdout.split('\n') if 'rror' in line or line.startswith('  ')) or ran.stdout)
    return ran.stdout


ask(f'DROP SCHEMA IF EXISTS {SCHEMA} CASCADE')


@check('debug connects')
def _():
    same('All checks passed!' in dbt('debug'), True)


@check('seed makes tables from CSV files, and again with --full-refresh')
def _():
    dbt('seed')
    same(ask(f'SELECT id, name, joined::text, active FROM {SCHEMA}.customers ORDER BY id')[2], (3, 'Cleo, the third', '2022-05-06', True))
    dbt('seed', '--full-refresh')
    dbt('seed')
    same(ask(f'SELECT count(*), sum(amount)::text FROM {SCHEMA}.orders'), [(3, '35.75')])


@check('run makes views and tables, with comments, and again replaces them')
def _():
    for _ in range(2):
        dbt('run', '--select', 'staged_orders', 'totals')
        same(ask(f'SELECT customer_id, orders, total::text FROM {SCHEMA}.totals ORDER BY 1'), [(1, 2, '30.75'), (2, 0, None), (3, 1, '5.00')])
    same(ask(f"SELECT obj_description('{SCHEMA}.totals'::regclass)"), [('What each customer has spent.',)])
    same(ask(f"SELECT relname, relkind FROM pg_class WHERE relnamespace = '{SCHEMA}'::regnamespace AND relkind IN ('r', 'v') ORDER BY 1"),
         [('customers', 'r'), ('orders', 'r'), ('staged_orders', 'v'), ('totals', 'r')])


@check('run of an incremental model adds and replaces')
def _():
    dbt('run', '--select', 'daily')
    same(ask(f'SELECT day::text, orders FROM {SCHEMA}.daily ORDER BY 1'), [('2024-01-01', 1), ('2024-01-02', 1), ('2024-02-03', 1)])
    ask(f"INSERT INTO {SCHEMA}.orders VALUES (4, 3, 1, '2024-02-03 13:00'), (5, 2, 1, '2024-02-04 13:00')")
    dbt('run', '--select', 'daily')
    same(ask(f'SELECT day::text, orders FROM {SCHEMA}.daily ORDER BY 1')[2:], [('2024-02-03', 2), ('2024-02-04', 1)])


@check('test runs unique, not null, accepted values, relationships and a query')
def _():
    same('ERROR=0' in dbt('test'), True)


@check('snapshot keeps what was, and what is')
def _():
    dbt('snapshot')
    ask(f"UPDATE {SCHEMA}.customers SET name = 'Ada L.' WHERE id = 1")
    dbt('snapshot')
    same(ask(f'SELECT name, dbt_valid_to IS NULL FROM {SCHEMA}.customers_over_time WHERE id = 1 ORDER BY dbt_valid_from'), [('Ada', False), ('Ada L.', True)])


@check('docs generate reads the catalog')
def _():
    dbt('docs', 'generate')
    nodes = json.loads((project / 'target' / 'catalog.json').read_text())['nodes']
    columns = nodes['model.shop.totals']['columns']
    same([(c['name'], c['type']) for c in columns.values()], [('customer_id', 'integer'), ('name', 'text'), ('orders', 'bigint'), ('total', columns['total']['type'])])
    same(nodes['model.shop.staged_orders']['metadata']['type'], 'VIEW')


@check('show asks a query, run-operation runs a macro, build runs everything')
def _():
    same('Bob' in dbt('show', '--inline', "select * from {{ ref('customers') }} where id = 2"), True)
    dbt('build', '--full-refresh', '--exclude', 'resource_type:snapshot')


ask(f'DROP SCHEMA IF EXISTS {SCHEMA} CASCADE')
shutil.rmtree(folder)
