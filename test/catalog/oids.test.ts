/** OIDs of tables are never those of the catalog image's own objects, however many tables were made; and a session outlives what cannot be filled. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { FIRST_TABLE_OID, freeOid, IMAGE_OIDS, OIDS_PER_TABLE } from '../../src/table-def.ts';
import { buildImage, context, openClient, request, rowsOf } from './catalog-fixture.ts';

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
  const nobody = { ...context, role: 'nobody' };
  await expect(client.query(request('SELECT 1', { context: nobody }))).rejects.toMatchObject({ code: '22023' });
  expect(rowsOf(await client.query(request('SELECT 1')))).toEqual([['1']]);
});
