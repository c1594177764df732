import { expect, test } from 'vitest';
import { parseSql } from '../../src/planner/parse.ts';
import type { SqlError } from '../../src/errors.ts';
import { plan, refusal } from './world.ts';

test('a text is cut into its statements, positions in characters', () => {
  expect(
    parseSql("select 'é𝄞'; select $2").map(({ text, position, parameterCount }) => [text, position, parameterCount]),
  ).toEqual([
    ["select 'é𝄞'", 0, 0],
    ['select $2', 13, 2],
  ]);
  expect(parseSql(' ;; -- nothing')).toEqual([]);
});

test('a syntax error carries PostgreSQL’s message and a character position', () => {
  const error = ((): SqlError | null => {
    try {
      parseSql("select 'é𝄞' fromm x y");
      return null;
    } catch (caught) {
      return caught as SqlError;
    }
  })();
  expect([error?.code, error?.message, error?.fields.position]).toEqual(['42601', 'syntax error at or near "x"', 19]);
});

test('hostile nesting is refused and leaves the parser usable', () => {
  expect(() => parseSql(`select ${'('.repeat(100_000)}1${')'.repeat(100_000)}`)).toThrow('stack depth limit exceeded');
  expect(() => parseSql(`select ${'1+'.repeat(60_000)}1`)).toThrow();
  expect(parseSql('select 1')).toHaveLength(1);
});

test.each([
  ['BEGIN', { kind: 'begin', tag: 'BEGIN', modes: {} }],
  [
    'START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY, NOT DEFERRABLE',
    {
      kind: 'begin',
      tag: 'START TRANSACTION',
      modes: { isolation: 'read committed', readOnly: true, deferrable: false },
    },
  ],
  [
    'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE',
    { kind: 'setTransaction', modes: { isolation: 'repeatable read', readOnly: false }, session: false },
  ],
  ['END', { kind: 'commit', chain: false }],
  ['ABORT', { kind: 'rollback', chain: false }],
  ['COMMIT AND CHAIN', { kind: 'commit', chain: true }],
  ['SAVEPOINT "A b"', { kind: 'savepoint', name: 'A b' }],
  ['RELEASE s', { kind: 'release', name: 's' }],
  ['ROLLBACK WORK TO SAVEPOINT s', { kind: 'rollbackTo', name: 's' }],
  ["SET TIME ZONE 'Europe/Paris'", { kind: 'set', name: 'timezone', value: 'Europe/Paris', local: false }],
  ['SET LOCAL synchronous_commit = off', { kind: 'set', name: 'synchronous_commit', value: 'off', local: true }],
  ['SET search_path = public, "A b"', { kind: 'set', name: 'search_path', value: 'public, "A b"', local: false }],
  ["SET NAMES 'utf8'", { kind: 'set', name: 'client_encoding', value: 'utf8', local: false }],
  ['SET arka.cold_reader = native', { kind: 'set', name: 'arka.cold_reader', value: 'native', local: false }],
  ['SET TIME ZONE DEFAULT', { kind: 'set', name: 'timezone', value: null, local: false }],
  ['RESET DateStyle', { kind: 'set', name: 'datestyle', value: null, local: false, isReset: true }],
  ['RESET ALL', { kind: 'resetAll' }],
  ['SHOW TRANSACTION ISOLATION LEVEL', { kind: 'show', name: 'transaction_isolation' }],
  ['SHOW ALL', { kind: 'show', name: 'all' }],
  [
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    { kind: 'setTransaction', modes: { readOnly: true }, session: true },
  ],
  ['SET SESSION AUTHORIZATION DEFAULT', { kind: 'set', name: 'session_authorization', value: null, local: false }],
  ['DISCARD TEMP', { kind: 'discard', what: 'temp' }],
  ['DEALLOCATE ALL', { kind: 'deallocate', name: null }],
  ['DEALLOCATE "_PLAN1"', { kind: 'deallocate', name: '_PLAN1' }],
  ['LISTEN x', { kind: 'listen', channel: 'x' }],
  ['UNLISTEN *', { kind: 'unlisten', channel: null }],
  ["NOTIFY x, 'hi'", { kind: 'notify', channel: 'x', payload: 'hi' }],
  ['CLOSE ALL', { kind: 'closeCursor', name: null }],
  ['FETCH BACKWARD ALL IN c', { kind: 'fetch', name: 'c', direction: 'backward', count: Infinity, isMove: false }],
  ['CHECKPOINT', { kind: 'checkpoint' }],
  ['VACUUM', { kind: 'vacuum', defs: null, full: false, verbose: false }],
  ['VACUUM ANALYZE', { kind: 'vacuum', defs: null, full: false, verbose: false }],
  ['ANALYZE events', { kind: 'accepted', tag: 'ANALYZE' }],
  ['DROP INDEX IF EXISTS s.a', { kind: 'dropIndex', names: [{ schema: 's', name: 'a' }], ifExists: true }],
  ['CREATE SCHEMA IF NOT EXISTS s', { kind: 'createSchema', name: 's', ifNotExists: true, owner: null }],
])('%s is planned', (sql, expected) => {
  expect(plan(sql)).toEqual(expected);
});

test.each([
  ['CREATE EXTENSION IF NOT EXISTS "uuid-ossp"', '0A000 extension "uuid-ossp" is not available'],
  ['DROP EXTENSION plpgsql', '0A000 DROP EXTENSION plpgsql is not supported'],
  ["PREPARE TRANSACTION 'x'", '0A000 PREPARE TRANSACTION is not supported'],
  ['VACUUM (FREEZE) events', '0A000 VACUUM (FREEZE) is not supported @9'],
  ['VACUUM nowhere', '42P01 relation "nowhere" does not exist @8'],
  ['VACUUM (nonsense) events', '42601 unrecognized VACUUM option "nonsense" @9'],
  ['ANALYZE nope', '42P01 relation "nope" does not exist @9'],
  ['CREATE INDEX ON events USING gist (id)', '0A000 an index with access method gist is not supported'],
  ['CREATE UNIQUE INDEX ON events (id) NULLS NOT DISTINCT', '0A000 NULLS NOT DISTINCT is not supported'],
  ['CREATE INDEX ON events USING hash (id DESC)', '0A000 access method "hash" does not support ASC/DESC options'],
  [
    'CREATE INDEX ON events USING hash (id) INCLUDE (id)',
    '0A000 access method "hash" does not support included columns',
  ],
  ['CREATE INDEX ON events (id text_ops)', '42804 operator class "text_ops" does not accept data type bigint'],
  ['CREATE INDEX ON events (id nope)', '42704 operator class "nope" does not exist for access method "btree"'],
  ['CREATE INDEX ON events (id COLLATE "C")', '42804 collations are not supported by type bigint'],
  ['CREATE INDEX ON events (id) WITH (fillfactor = 7)', '22023 value 7 out of bounds for option "fillfactor"'],
  ['CREATE INDEX ON events (id) WITH (nope = 7)', '22023 unrecognized parameter "nope"'],
  ['CREATE INDEX ON events (id) TABLESPACE nope', '42704 tablespace "nope" does not exist'],
  ['CREATE INDEX ON events (id) WHERE id > 1', '0A000 a partial index is not supported'],
  ['CREATE INDEX ON events (ctid)', '0A000 index creation on system columns is not supported'],
  ['REINDEX (nope) TABLE events', '42601 unrecognized REINDEX option "nope" @10'],
  ['REINDEX DATABASE nope', '0A000 can only reindex the currently open database'],
  ['DROP INDEX CONCURRENTLY a, b', '0A000 DROP INDEX CONCURRENTLY does not support dropping multiple objects'],
  ['DECLARE c SCROLL NO SCROLL CURSOR FOR SELECT 1', '42P11 cannot specify both SCROLL and NO SCROLL'],
  ['GRANT EXECUTE ON FUNCTION f TO x', '0A000 GRANT on a function is not supported'],
  ['ALTER ROLE x SET role = y', '0A000 ALTER ROLE … SET role is not supported'],
  ["COPY events TO '/tmp/x'", '0A000 COPY to a file of the server is not supported'],
  ["COPY events TO PROGRAM 'cat'", '0A000 COPY … TO PROGRAM is not supported'],
  ['COPY (DELETE FROM events) TO STDOUT', '0A000 COPY of a statement that changes rows is not supported'],
  [
    'COPY (WITH d AS (DELETE FROM events RETURNING *) SELECT * FROM d) TO STDOUT',
    '0A000 COPY of a statement that changes rows is not supported',
  ],
  ['COPY events TO STDOUT (FORCE_QUOTE *)', '0A000 COPY force quote available only in CSV mode'],
  ['SELECT * FROM events a, events b FOR UPDATE', '0A000 SELECT … FOR UPDATE of more than one table is not supported'],
  [
    'SELECT * FROM (SELECT 1 FROM events e, events f FOR SHARE) x',
    '0A000 SELECT … FOR UPDATE or FOR SHARE is not supported',
  ],
  [
    'SELECT v FROM events WHERE id IN (SELECT id FROM events) FOR SHARE',
    '0A000 SELECT … FOR SHARE of a table that the query reads more than once is not supported',
  ],
  ["CALL arka.flush('nope')", '42P01 relation "nope" does not exist'],
  ["CALL other.f('x')", '42883 procedure other.f(unknown) does not exist @6'],
  ['EXPLAIN (FORMAT xml) SELECT 1', '0A000 EXPLAIN (FORMAT XML) is not supported @10'],
  ['EXPLAIN (FORMAT foo) SELECT 1', '22023 unrecognized value for EXPLAIN option "format": "foo" @10'],
  [
    'SELECT * FROM (WITH d AS (DELETE FROM events RETURNING *) SELECT * FROM d) x',
    '0A000 WITH clause containing a data-modifying statement must be at the top level @21',
  ],
])('%s is refused: %s', (sql, error) => {
  expect(refusal(sql)).toBe(error);
});

test('CALL finds its table as regclass would', () => {
  expect(plan(`CALL arka.commit('Public."events"')`)).toMatchObject({
    kind: 'call',
    procedure: 'commit',
    def: { name: 'events' },
  });
});

test('EXPLAIN holds the plan of what it explains', () => {
  expect(plan('EXPLAIN (ANALYZE, COSTS off) SELECT * FROM events')).toMatchObject({
    kind: 'explain',
    analyze: true,
    inner: { kind: 'query', plan: { route: 'engine', text: 'SELECT * FROM events' } },
  });
  expect(plan('EXPLAIN DELETE FROM events')).toMatchObject({
    kind: 'explain',
    analyze: false,
    inner: { kind: 'delete' },
  });
});

test('COPY FROM STDIN knows its columns and format', () => {
  expect(plan("COPY events (ts, id) FROM STDIN WITH (FORMAT csv, HEADER, NULL '-')")).toMatchObject({
    kind: 'copyFrom',
    fieldIds: [2, 1],
    options: { format: 'csv', header: true, delimiter: ',', null: '-', quote: '"', escape: '"' },
  });
  expect(plan('COPY events FROM STDIN BINARY')).toMatchObject({ options: { format: 'binary' } });
  expect(plan('COPY users FROM STDIN')).toMatchObject({
    fieldIds: [1, 2, 3],
    options: { format: 'text', delimiter: '\t', null: '\\N' },
  });
  expect(refusal("COPY events FROM '/etc/passwd'")).toMatch(/^0A000 COPY from a file/);
  expect(refusal('COPY events (nope) FROM STDIN')).toMatch(/^42703/);
  expect(refusal('COPY events FROM STDIN (FORMAT xml)')).toMatch(/^22023/);
});

test('a text with parameters, or a short one, is parsed once, and its tree cannot be changed', () => {
  const once = parseSql('SELECT $1::int');
  expect(parseSql('SELECT $1::int')).toBe(once);
  expect(Object.isFrozen(once[0]!.node)).toBe(true);
  expect(parseSql('SELECT 1')).toBe(parseSql('SELECT 1'));
  const literals = "INSERT INTO events VALUES (1, 'a', 'b', 'c')";
  expect(parseSql(literals)).not.toBe(parseSql(literals));
});
