import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { STUB_VIEWS } from '../../src/catalog/stub-views.ts';
import { systemClock, type Clock } from '../../src/clock.ts';
import { SqlState } from '../../src/errors.ts';
import type { SequenceDef } from '../../src/sequence-def.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { buildImage, column, context, openClient, request, rowsFor, rowsOf, table } from './catalog-fixture.ts';

/** A clock whose timers run when told. */
class HandClock implements Clock {
  readonly #timers = new Set<{ readonly due: number; readonly callback: () => void }>();
  #time = 0;
  now(): number {
    return systemClock.now();
  }
  monotonic(): number {
    return this.#time;
  }
  after(milliseconds: number, callback: () => void): () => void {
    const timer = { due: this.#time + milliseconds, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  advance(milliseconds: number): void {
    this.#time += milliseconds;
    for (const timer of [...this.#timers]) {
      if (timer.due <= this.#time && this.#timers.delete(timer)) timer.callback();
    }
  }
}

const ENDLESS = 'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r';
const events = table(
  'events',
  20_000,
  [
    column('id', 1, Oid.int8, { notNull: true }),
    column('ts', 3, Oid.timestamptz, { notNull: true, default: { kind: 'now', sql: 'now()' } }),
    column('v', 4, Oid.varchar, {
      typmod: 24,
      default: { kind: 'constant', sql: "'x'::character varying", text: 'x' },
    }),
    column('n', 5, Oid.numeric, { typmod: ((10 << 16) | 2) + 4 }),
    column('payload', 6, Oid.jsonb),
    column('u', 7, Oid.uuid),
  ],
  { key: [1], keyName: 'events_pkey' },
);

let client: CatalogClient;
beforeAll(() => {
  buildImage();
  client = openClient();
  client.setContents({ schemas: ['public', 'sales'], tables: [events] });
});
afterAll(() => client.close());

describe('the session inside', () => {
  test('is in database arka as superuser arka, with the clock of the server', async () => {
    const [row] = await rowsFor(
      client,
      "SELECT current_database(), current_user, session_user, current_schema(), current_setting('is_superuser')",
    );
    expect(row).toEqual(['arka', 'arka', 'arka', 'public', 'on']);
    const [now] = await rowsFor(client, 'SELECT extract(epoch FROM now()) * 1000');
    expect(Math.abs(Number(now![0]) - Date.now())).toBeLessThan(5_000);
  });

  test('M-7: takes search_path and time zone from each request', async () => {
    const berlin = { searchPath: ['sales', 'public'], timeZone: 'Europe/Berlin' };
    const sql = "SELECT current_schema(), timestamptz '2024-07-01 00:00:00+00'";
    expect(await rowsFor(client, sql, { context: berlin })).toEqual([['sales', '2024-07-01 02:00:00+02']]);
    expect(await rowsFor(client, sql)).toEqual([['public', '2024-07-01 00:00:00+00']]);
    await expect(
      client.query(request('SELECT 1', { context: { searchPath: [], timeZone: 'Mars/Olympus' } })),
    ).rejects.toMatchObject({ code: SqlState.invalidParameterValue });
    expect(await rowsFor(client, sql)).toEqual([['public', '2024-07-01 00:00:00+00']]);
  });

  test('keeps nothing of a statement', async () => {
    await client.query(request("SELECT set_config('work_mem', '9MB', false)"));
    await client.query(request('INSERT INTO events (id) VALUES (1)'));
    await client.query(request('COMMIT'));
    expect(await rowsFor(client, "SELECT current_setting('work_mem'), (SELECT count(*) FROM events)")).toEqual([
      ['4MB', '0'],
    ]);
  });
});

describe('the mirror', () => {
  test('has the OIDs and column numbers of the definition', async () => {
    expect(
      await rowsFor(
        client,
        `SELECT c.oid, c.reltype, t.typarray, c.reltoastrelid, i.indexrelid, pg_get_userbyid(c.relowner)
      FROM pg_class c JOIN pg_type t ON t.oid = c.reltype JOIN pg_index i ON i.indrelid = c.oid WHERE c.relname = 'events'`,
      ),
    ).toEqual([['20000', '20001', '20002', '20003', '20005', 'arka']]);
    expect(
      await rowsFor(
        client,
        `SELECT attname, attnum, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)
      FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
      WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`,
      ),
    ).toEqual([
      ['id', '1', 'bigint', 't', null],
      ['ts', '3', 'timestamp with time zone', 't', 'now()'],
      ['v', '4', 'character varying(20)', 'f', "'x'::character varying"],
      ['n', '5', 'numeric(10,2)', 'f', null],
      ['payload', '6', 'jsonb', 'f', null],
      ['u', '7', 'uuid', 'f', null],
    ]);
    expect(
      await rowsFor(
        client,
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = 20000",
      ),
    ).toEqual([['events_pkey', 'PRIMARY KEY (id)']]);
  });

  test('follows each change of the contents before the next request', async () => {
    const describeEvents = { sql: 'SELECT * FROM events', parameterOids: [], context };
    expect((await client.describe(describeEvents)).columns).toHaveLength(6);
    const wider = { ...events, schemaId: 1, columns: [...events.columns, column('extra', 8, Oid.bool)] };
    const other = table('Odd "name"', 20_016, [column('a b', 1, Oid.text)], { schema: 'sales' });
    client.setContents({ schemas: ['public', 'sales'], tables: [wider, other] });
    expect((await client.describe(describeEvents)).columns).toHaveLength(7);
    expect(await rowsFor(client, `SELECT 'sales."Odd ""name"""'::regclass::oid, 'events'::regclass::oid`)).toEqual([
      ['20016', '20000'],
    ]);
    client.setContents({ schemas: ['public'], tables: [events] });
    expect((await client.describe(describeEvents)).columns).toHaveLength(6);
    expect(await rowsFor(client, "SELECT count(*) FROM pg_namespace WHERE nspname = 'sales'")).toEqual([['0']]);
    client.setContents({ schemas: ['public', 'sales'], tables: [events] });
  });

  test('L2: a question that waited sees newer definitions, whatever became of the sequences that it has marks of', async () => {
    const sequence = (name: string, oid: number, more: Partial<SequenceDef> = {}): SequenceDef => ({
      ...{ oid, schema: 'public', name, typeOid: Oid.int8, start: '1', increment: '1', min: '1', max: '99' },
      ...{ cache: 1, cycle: false, owner: null, ...more },
    });
    const before = [sequence('gone', 30_000), sequence('renamed', 30_016), sequence('narrow', 30_032)];
    const after = [sequence('otherwise', 30_016), sequence('narrow', 30_032, { start: '50', min: '50' })];
    const sequences = before.map((def) => ({ def, state: { last: '7', isCalled: true } }));
    const contents = (all: readonly SequenceDef[]) => ({ schemas: ['public'], tables: [events], sequences: all });
    const sql = 'SELECT sequencename, last_value FROM pg_sequences ORDER BY 1';
    client.setContents(contents(before));
    const first = rowsFor(client, sql, { sequences });
    const behind = rowsFor(client, sql, { sequences });
    client.setContents(contents(after));
    expect(await first).toHaveLength(2);
    expect(await behind).toEqual([
      ['narrow', null],
      ['otherwise', '7'],
    ]);
    client.setContents({ schemas: ['public', 'sales'], tables: [events] });
  });

  test('tables that swap names keep their OIDs', async () => {
    const a = table('a', 20_032, [column('x', 1, Oid.int4)]);
    const b = table('b', 20_048, [column('y', 1, Oid.int4)]);
    client.setContents({ schemas: ['public'], tables: [events, a, b] });
    expect(await rowsFor(client, "SELECT 'a'::regclass::oid, 'b'::regclass::oid")).toEqual([['20032', '20048']]);
    client.setContents({ schemas: ['public'], tables: [events, { ...a, name: 'b' }, { ...b, name: 'a' }] });
    expect(await rowsFor(client, "SELECT 'a'::regclass::oid, 'b'::regclass::oid")).toEqual([['20048', '20032']]);
    client.setContents({ schemas: ['public', 'sales'], tables: [events] });
  });

  test('a table that PostgreSQL refuses is reported and leaves the others usable', async () => {
    const problems: string[] = [];
    const own = openClient({ onProblem: (problem) => problems.push(problem) });
    const bad = table('bad', 20_064, [
      column('x', 1, Oid.int4, { default: { kind: 'constant', sql: 'no_such_function()', text: null } }),
    ]);
    own.setContents({ schemas: ['public'], tables: [bad, events] });
    expect(await rowsFor(own, "SELECT relname FROM pg_class WHERE relkind = 'r' AND oid >= 20000")).toEqual([
      ['events'],
    ]);
    expect(problems).toEqual(['a definition could not be mirrored']);
    await own.close();
  });

  test('200 tables are mirrored before the next answer', async () => {
    const many = Array.from({ length: 200 }, (_, i) => ({
      ...events,
      uuid: `many-${i}`,
      name: `t${i}`,
      oid: 30_000 + 16 * i,
      keyName: `t${i}_pkey`,
    }));
    await rowsFor(client, 'SELECT 1');
    client.setContents({ schemas: ['public', 'sales'], tables: [events, ...many] });
    expect(await rowsFor(client, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND oid >= 20000")).toEqual([
      ['201'],
    ]);
    client.setContents({ schemas: ['public', 'sales'], tables: [events] });
  });
});

describe('describe', () => {
  test('infers parameters and gives the table OID, column number and modifier of each column', async () => {
    const description = await client.describe({
      sql: 'SELECT v, n + 1 AS more FROM events WHERE id = $1 AND u = $2',
      parameterOids: [],
      context,
    });
    expect(description.parameterOids).toEqual([Oid.int8, Oid.uuid]);
    expect(description.columns).toEqual([
      { name: 'v', tableOid: 20_000, attnum: 4, typeOid: Oid.varchar, typlen: -1, typmod: 24 },
      { name: 'more', tableOid: 0, attnum: 0, typeOid: Oid.numeric, typlen: -1, typmod: -1 },
    ]);
  });

  test('a statement without rows has no columns', async () => {
    const description = await client.describe({
      sql: 'DELETE FROM events WHERE id = $1',
      parameterOids: [Oid.int4],
      context,
    });
    expect(description).toEqual({ parameterOids: [Oid.int4], columns: null });
  });

  test.each([
    ['SELECT * FROM events WHERE nope = 1', '42703', 'column "nope" does not exist', 28],
    ['SELEC 1', '42601', 'syntax error at or near "SELEC"', 1],
    ['SELECT * FROM missing', '42P01', 'relation "missing" does not exist', 15],
    ["SELECT 'ü', lower(1, 2)", '42883', 'function lower(integer, integer) does not exist', 13],
  ])("%s is refused with PostgreSQL's own error", async (sql, code, message, position) => {
    await expect(client.describe({ sql, parameterOids: [], context })).rejects.toMatchObject({
      code,
      message,
      fields: { position },
    });
  });

  test('a text with a zero byte is refused, and the next request is not disturbed', async () => {
    await expect(client.query(request('SELECT \0'))).rejects.toMatchObject({ code: SqlState.characterNotInRepertoire });
    expect(await rowsFor(client, 'SELECT 1')).toEqual([['1']]);
  });

  test('is cached until the contents change', async () => {
    const asked = { sql: 'SELECT id FROM events', parameterOids: [], context };
    const first = await client.describe(asked);
    expect(client.described(asked)).toBe(first);
    expect(client.described({ ...asked, context: { ...context, searchPath: ['sales'] } })).toBeUndefined();
    client.setContents({ schemas: ['public', 'sales'], tables: [{ ...events }] });
    expect(client.described(asked)).toBeUndefined();
  });

  test('stays cached where only what is temporary changes, but for who looks there', async () => {
    const asked = { sql: 'SELECT id FROM events', parameterOids: [], context };
    client.setContents({ schemas: ['public', 'sales'], tables: [events] });
    const first = await client.describe(asked);
    const owns = { ...asked, context: { ...context, searchPath: ['pg_temp_7', 'public'] } };
    await client.describe(owns);
    expect(client.described(owns)).toBeDefined();
    const more = {
      schemas: ['public', 'sales', 'pg_temp_7'],
      tables: [events, { ...events, uuid: 'own', oid: 30_000, schema: 'pg_temp_7' }],
    };
    client.setContents(more);
    expect(client.described(asked)).toBe(first);
    expect(client.described(owns)).toBeUndefined();
  });
});

describe('query', () => {
  test('takes values and gives results in text and binary', async () => {
    const result = await client.query(
      request('SELECT $1::int + 1, $2::text', {
        parameterOids: [Oid.int4, Oid.text],
        formats: [1, 0],
        values: [Uint8Array.of(0, 0, 0, 41), new TextEncoder().encode('x')],
        resultFormats: [1, 0],
      }),
    );
    expect(result).toMatchObject({ rows: 1, tag: 'SELECT 1' });
    expect(rowsOf(result)).toEqual([['\0\0\0*', 'x']]);
    expect(result.columns?.map((each) => each.typeOid)).toEqual([Oid.int4, Oid.text]);
  });

  test.each([
    [
      'VALUES (1, NULL), (2, $$b$$)',
      [
        ['1', null],
        ['2', 'b'],
      ],
    ],
    ['SHOW server_encoding', [['UTF8']]],
    ['SELECT count(*) FROM information_schema.tables WHERE table_name = $$events$$', [['1']]],
    ['', []],
  ])('runs %j', async (sql, rows) => {
    expect(await rowsFor(client, sql)).toEqual(rows);
  });

  test('an error leaves no transaction behind', async () => {
    await expect(client.query(request('SELECT 1/0'))).rejects.toMatchObject({ code: SqlState.divisionByZero });
    expect(await rowsFor(client, 'SELECT 1')).toEqual([['1']]);
  });

  test('a deep expression is refused as PostgreSQL refuses it', async () => {
    await expect(client.query(request(`SELECT ${'1+'.repeat(30_000)}1`))).rejects.toMatchObject({ code: '54001' });
  });

  test('what would hold the session is refused: COPY, a long sleep', async () => {
    await expect(client.query(request('COPY pg_class FROM STDIN'))).rejects.toMatchObject({
      code: SqlState.featureNotSupported,
    });
    await expect(client.query(request('SELECT pg_sleep(3)'))).rejects.toMatchObject({
      code: SqlState.featureNotSupported,
    });
    expect(await rowsFor(client, 'SELECT pg_sleep(0.01) IS NOT NULL')).toEqual([['t']]);
  });
});

describe('stub views', () => {
  test.each(STUB_VIEWS)('$schema.$name has the columns that main fills', async ({ schema, name, columns }) => {
    const { columns: found } = await client.describe({
      sql: `SELECT * FROM ${schema}.${name}`,
      parameterOids: [],
      context,
    });
    expect(found?.map((each) => each.name)).toEqual(columns);
    expect(await rowsFor(client, `SELECT * FROM ${schema}.${name}`)).toEqual([]);
  });

  test('show the rows given with the statement, and only in it', async () => {
    const rows = [
      ['public', 'o\'\\x"é', 'memory', '3', '100', '5000', '2024-01-01 00:00:00+00', null, '0/16B3748', '0/16B3749'],
    ];
    const views = [
      { schema: 'arka', name: 'tiers', rows },
      { schema: 'pg_catalog', name: 'pg_stat_activity', rows: [] },
    ];
    expect(await rowsFor(client, 'SELECT * FROM arka.tiers', { views })).toEqual(rows);
    expect(
      await rowsFor(client, "SELECT count(*), max(max_lsn - '0/0'::pg_lsn) FROM arka.tiers WHERE rows > 99", { views }),
    ).toEqual([['1', '23803721']]);
    expect(await rowsFor(client, 'SELECT * FROM arka.tiers')).toEqual([]);
  });

  test('functions of schema arka are described, and refuse to run here', async () => {
    const { columns, parameterOids } = await client.describe({
      sql: 'SELECT arka.metadata_location($1), arka.wait_for_lsn($2)',
      parameterOids: [],
      context,
    });
    expect([parameterOids, columns?.map((each) => each.typeOid)]).toEqual([
      [Oid.text, Oid.pgLsn],
      [Oid.text, Oid.bool],
    ]);
    await expect(client.query(request("SELECT arka.metadata_location('t')"))).rejects.toMatchObject({
      code: SqlState.featureNotSupported,
    });
  });
});

describe('the worker', () => {
  test('starts at the first need, ends when idle, starts again with everything mirrored', async () => {
    const clock = new HandClock();
    const own = openClient({ clock, idleMs: 1_000 });
    own.setContents({ schemas: ['public', 'sales'], tables: [events] });
    expect(own.running).toBe(false);
    const started = performance.now();
    const oids = "SELECT 'events'::regclass::oid, 'sales'::regnamespace::oid";
    const first = await rowsFor(own, oids);
    expect(performance.now() - started).toBeLessThan(6_000); // 0.5 s measured
    clock.advance(999);
    expect(own.running).toBe(true);
    clock.advance(1);
    expect(own.running).toBe(false);
    expect(await rowsFor(own, oids)).toEqual(first);
    clock.advance(499);
    expect(own.stopIfIdle(500)).toBe(false);
    clock.advance(1);
    expect(own.stopIfIdle(500)).toBe(true);
    await own.close();
    await expect(own.query(request('SELECT 1'))).rejects.toMatchObject({ code: SqlState.adminShutdown });
  });

  test('a cancel ends the statement with 57014 and lets the others go on', async () => {
    const abort = new AbortController();
    await rowsFor(client, 'SELECT 1');
    const endless = client.query(request(ENDLESS), abort.signal);
    const next = rowsFor(client, "SELECT 'events'::regclass::oid");
    setTimeout(() => abort.abort(), 100);
    await expect(endless).rejects.toMatchObject({ code: SqlState.queryCanceled });
    expect(await next).toEqual([['20000']]);
  });

  test('a cancel of a description, waiting or under way, ends the wait and leaves the worker', async () => {
    for (const before of ['SELECT 1', null]) {
      const abort = new AbortController();
      const first = before === null ? null : rowsFor(client, before);
      const described = client.describe(
        {
          sql: `SELECT ${before === null ? 2 : 1} AS never_asked_before`,
          parameterOids: [],
          context: request('').context,
        },
        abort.signal,
      );
      abort.abort();
      await expect(described).rejects.toMatchObject({ code: SqlState.queryCanceled });
      await first;
      expect(client.running).toBe(true);
    }
    expect(await rowsFor(client, 'SELECT 3')).toEqual([['3']]);
  });

  test('a cancel of a waiting request touches nobody else', async () => {
    const abort = new AbortController();
    const first = rowsFor(client, 'SELECT 1');
    const waiting = client.query(request('SELECT 2'), abort.signal);
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ code: SqlState.queryCanceled });
    expect(await first).toEqual([['1']]);
  });

  test('a statement past the deadline ends with 57014', async () => {
    const clock = new HandClock();
    const own = openClient({ clock, deadlineMs: 5_000 });
    await rowsFor(own, 'SELECT 1');
    const endless = own.query(request(ENDLESS));
    setTimeout(() => clock.advance(5_000), 50);
    await expect(endless).rejects.toMatchObject({
      code: SqlState.queryCanceled,
      message: 'canceling statement due to statement timeout',
    });
    expect(await rowsFor(own, 'SELECT 2')).toEqual([['2']]);
    await own.close();
  });

  test('without an image the error says how to get one', async () => {
    const own = openClient({ image: new URL('file:///nonexistent/catalog-image.tar') });
    await expect(own.query(request('SELECT 1'))).rejects.toMatchObject({
      code: SqlState.ioError,
      fields: { hint: 'npm run build makes it.' },
    });
    expect(own.running).toBe(false);
    await own.close();
  });
});
