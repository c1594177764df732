import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mirrorSteps, nothingMirrored, typeSql } from '../../src/catalog/mirror.ts';
import type { CatalogContents } from '../../src/catalog/catalog-api.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { table } from './catalog-fixture.ts';

/** A few uuids and versions, so that changes, renames and drops happen often. Names and OIDs are unique in one state. */
const contents: fc.Arbitrary<CatalogContents> = fc.record({
  schemas: fc.uniqueArray(fc.constantFrom('public', 'a', 'b', 'c')),
  tables: fc
    .uniqueArray(fc.record({ id: fc.nat(5), version: fc.nat(2), name: fc.nat(7) }), { selector: (each) => each.id })
    .map((tables) =>
      tables.map(({ id, version, name }) =>
        table(`t${name}-${id}`, 20_000 + 16 * id, [], {
          uuid: `u${id}`,
          schemaId: version,
          schema: name % 2 === 0 ? 'public' : 'a',
        }),
      ),
    ),
});

test('after the steps the mirror holds exactly what is wanted, and a second mirroring has none', () => {
  fc.assert(
    fc.property(fc.array(contents, { maxLength: 6 }), (states) => {
      const held = nothingMirrored();
      for (const wanted of states) {
        const steps = mirrorSteps(held, wanted);
        for (const def of steps.dropTables) expect(held.tables.delete(def.uuid)).toBe(true);
        for (const name of steps.dropSchemas) expect(held.schemas.delete(name)).toBe(true);
        for (const name of steps.createSchemas) held.schemas.add(name);
        for (const def of steps.createTables) {
          expect(held.tables.has(def.uuid)).toBe(false);
          held.tables.set(def.uuid, def);
        }
        expect(new Map(held.tables)).toEqual(new Map(wanted.tables.map((def) => [def.uuid, def])));
        expect([...held.schemas].sort()).toEqual(wanted.schemas.filter((name) => name !== 'public').sort());
        const asSent = structuredClone(wanted); // a message to the catalog's thread has copies
        expect(Object.values(mirrorSteps(held, asSent)).flat()).toEqual([]);
      }
    }),
  );
});

test.each([
  [{ oid: Oid.varchar, typmod: 24 }, 'character varying(20)'],
  [{ oid: Oid.varchar, typmod: -1 }, 'character varying'],
  [{ oid: Oid.numeric, typmod: numericTypmod(10, 2) }, 'numeric(10,2)'],
  [{ oid: Oid.timestamptz, typmod: 3 }, 'timestamp(3) with time zone'],
  [{ oid: Oid.time, typmod: -1 }, 'time without time zone'],
  [{ oid: Oid.float8, typmod: -1 }, 'double precision'],
])('type %o is written %s', (type, sql) => {
  expect(typeSql(type)).toBe(sql);
});
