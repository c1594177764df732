"""What scenarios in Python share: one line a check on standard output, `ok NAME` or `not ok NAME: why`; the first line names the client's version."""
import asyncio
import datetime as dt
import decimal
import os
import sys
import traceback
import uuid

URL = os.environ['COMPAT_URL']
SCHEMA = os.environ['COMPAT_SCHEMA']
START = f'DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};'

#: Every type that a column may have, with a value of it as PostgreSQL writes it.
COLUMNS = {
    'i2': ('smallint', '-32768'),
    'i4': ('integer', '2147483647'),
    'i8': ('bigint', '-9223372036854775808'),
    'f4': ('real', '0.1'),
    'f8': ('double precision', '1e+300'),
    'num': ('numeric(20,6)', '-12345678901234.567890'),
    'flag': ('boolean', 't'),
    'txt': ('text', 'zażółć 🦆 \\ \' "'),
    'vc': ('varchar(20)', 'twenty'),
    'bc': ('char(5)', 'ab   '),
    'raw': ('bytea', '\\x00ff10'),
    'day': ('date', '2024-02-29'),
    'clock': ('time', '23:59:59.999999'),
    'local': ('timestamp', '1999-12-31 23:59:59.123456'),
    'instant': ('timestamptz', '2026-01-02 03:04:05.000006+00'),
    'uid': ('uuid', '00112233-4455-6677-8899-aabbccddeeff'),
    'jb': ('jsonb', '{"a": [1, null, "x"]}'),
    'ints': ('integer[]', '{1,NULL,3}'),
    'texts': ('text[]', '{a,"b c",NULL,"d\\"e"}'),
}
TYPED_TABLE = 'CREATE TABLE {} (id integer PRIMARY KEY, ' + ', '.join(f'{c} {t}' for c, (t, _) in COLUMNS.items()) + ')'



def values_of_python(f4, jb):
    """The same values as drivers take and give them: `f4` as they have a real, `jb` as they have a jsonb."""
    return {
        'i2': -32768, 'i4': 2147483647, 'i8': -9223372036854775808, 'f4': f4, 'f8': 1e300,
        'num': decimal.Decimal('-12345678901234.567890'), 'flag': True, 'txt': 'zażółć 🦆 \\ \' "', 'vc': 'twenty', 'bc': 'ab   ',
        'raw': b'\x00\xff\x10', 'day': dt.date(2024, 2, 29), 'clock': dt.time(23, 59, 59, 999999),
        'local': dt.datetime(1999, 12, 31, 23, 59, 59, 123456), 'instant': dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.timezone.utc),
        'uid': uuid.UUID('00112233-4455-6677-8899-aabbccddeeff'), 'jb': jb,
        'ints': [1, None, 3], 'texts': ['a', 'b c', None, 'd"e'],
    }


def client(name, version):
    print(f'client {name} {version}', flush=True)


def _report(name, error):
    if error is None:
        print(f'ok {name}', flush=True)
        return
    why = ' '.join(f'{type(error).__name__}: {error}'.split())
    print(f'not ok {name}: {why[:600]}', flush=True)
    traceback.print_exception(error, file=sys.stderr)


def check(name, after=None):
    """Runs the function that follows, at once. `after` runs at the end of a check that failed, such as a rollback."""
    def run(function):
        error = None
        try:
            function()
        except Exception as caught:
            error = caught
            if after is not None:
                after()
        _report(name, error)
    return run


async def check_async(name, function, seconds=30):
    try:
        await asyncio.wait_for(function(), seconds)
    except Exception as caught:
        _report(name, caught)
    else:
        _report(name, None)


def same(got, expected):
    if got != expected:
        raise AssertionError(f'got {got!r}, expected {expected!r}')


def raises(kind, function, sqlstate=None):
    try:
        function()
    except kind as error:
        if sqlstate is not None:
            got = getattr(error, 'sqlstate', None) or getattr(error, 'pgcode', None)
            same(got, sqlstate)
        return error
    raise AssertionError(f'{kind.__name__} was expected')
