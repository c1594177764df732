import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { buildImage, column, openClient, rowsFor, table } from './catalog-fixture.ts';

const events = table(
  'events',
  20_000,
  [
    column('id', 1, Oid.int8, { notNull: true }),
    column('ts', 2, Oid.timestamptz, { notNull: true, default: { kind: 'now', sql: 'now()' } }),
    column('v', 3, Oid.varchar, { typmod: 24 }),
    column('n', 4, Oid.numeric, { typmod: ((10 << 16) | 2) + 4 }),
    column('payload', 5, Oid.jsonb),
  ],
  { key: [1], keyName: 'events_pkey' },
);
const queries = readFileSync(new URL('psql-15.sql', import.meta.url), 'utf8')
  .split(/^-- @ /m)
  .slice(1)
  .map((part) => {
    const line = part.indexOf('\n');
    return { command: part.slice(0, line), sql: part.slice(line + 1).replaceAll('{oid}', String(events.oid)) };
  });

let client: CatalogClient;
beforeAll(() => {
  buildImage();
  client = openClient();
  client.setContents({ schemas: ['public', 'sales'], tables: [events] });
});
afterAll(() => client.close());

describe('psql 15', () => {
  test.each([...new Set(queries.map(({ command }) => command))])('%s runs', async (command) => {
    for (const { sql } of queries.filter((each) => each.command === command)) await client.query({ ...request, sql });
  });
  const request = {
    parameterOids: [],
    values: [],
    formats: [],
    resultFormats: [],
    context: { searchPath: ['public'], timeZone: 'UTC' },
    views: [],
  };

  const answer = (command: string, nth = 0): Promise<(string | null)[][]> =>
    rowsFor(client, queries.filter((each) => each.command === command)[nth]!.sql);

  test("\\d lists the tables of the search path and nothing of Arka's own", async () => {
    expect(await answer('\\d')).toEqual([['public', 'events', 'table', 'arka']]);
  });
  test('\\dt as well', async () => {
    expect(await answer('\\dt')).toEqual([['public', 'events', 'table', 'arka']]);
  });
  test("\\d events finds it by Arka's OID, with columns and key", async () => {
    expect(await answer('\\d events')).toEqual([['20000', 'public', 'events']]);
    expect((await answer('\\d events', 2)).map(([name, type, value, notNull]) => [name, type, value, notNull])).toEqual(
      [
        ['id', 'bigint', null, 't'],
        ['ts', 'timestamp with time zone', 'now()', 't'],
        ['v', 'character varying(20)', null, 'f'],
        ['n', 'numeric(10,2)', null, 'f'],
        ['payload', 'jsonb', null, 'f'],
      ],
    );
    expect((await answer('\\d events', 3)).map((row) => row[0])).toEqual(['events_pkey']);
  });
  test('\\dn lists the schemas', async () => {
    expect((await answer('\\dn')).map((row) => row[0])).toEqual(['arka', 'public', 'sales']);
  });
  test('\\l lists database arka', async () => {
    const databases = (await answer('\\l')).map((row) => row[0]);
    expect(databases).toContain('arka');
    expect(databases).not.toContain('postgres');
  });
  test('\\du lists superuser arka', async () => {
    expect((await answer('\\du')).find((row) => row[0] === 'arka')?.[1]).toBe('t');
  });
  test('\\df lists nothing in public', async () => {
    expect(await answer('\\df')).toEqual([]);
  });
});
