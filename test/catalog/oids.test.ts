/** OIDs of tables are never those of the catalog image's own objects, however many tables were made; and a session outlives what cannot be filled. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { FIRST_TABLE_OID, freeOid, IMAGE_OIDS, OIDS_PER_TABLE } from '../../src/table-def.ts';
import { Oid } from '../../src/types/pg-type.ts';
import { buildImage, column, openClient, request, rowsOf, table } from './catalog-fixture.ts';

let client: CatalogClient;
beforeAll(() => {
  buildImage();
  client = openClient();
}, 60_000);
afterAll(() => client.close());

test('the blocks of a thousand tables leave out the OIDs of the image', async () => {
  const oids: number[] = [];
  for (let oid = freeOid(FIRST_TABLE_OID); oids.length < 1000; oid = freeOid(oid + OIDS_PER_TABLE)) oids.push(oid);
  const own = rowsOf(
    await client.query(
      request(`SELECT oid FROM pg_class WHERE oid >= '16384' UNION SELECT oid FROM pg_type WHERE oid >= '16384'`),
    ),
  ).map(([oid]) => Number(oid));
  expect(own.length).toBeGreaterThan(5);
  expect(own.filter((oid) => oids.some((first) => oid >= first && oid < first + OIDS_PER_TABLE))).toEqual([]);
  for (const oid of own)
    expect(oid < FIRST_TABLE_OID || (oid >= IMAGE_OIDS.first && oid <= IMAGE_OIDS.last)).toBe(true);
});

test('a query whose preparation fails leaves the session as it was', async () => {
  const missing = table('missing', 40_000, [column('a', 1, Oid.int4)]);
  const def = {
    oid: 40_016,
    schema: 'public',
    name: 'nowhere',
    typeOid: Oid.int8,
    increment: '1',
    min: '1',
    max: '9',
    start: '1',
    cache: '1',
    cycle: false,
    owner: { tableUuid: missing.uuid, fieldId: 1, isIdentity: false },
  };
  const sequences = [{ def, state: { last: '1', isCalled: true } }] as never;
  await expect(client.query(request('SELECT 1', { sequences }))).rejects.toMatchObject({ code: '42P01' });
  expect(rowsOf(await client.query(request('SELECT 1')))).toEqual([['1']]);
});
