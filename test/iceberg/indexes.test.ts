/** Indexes as a table property. */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { IndexDef } from '../../src/table-def.ts';
import type { LakeApi, LakeState } from '../../src/storage/iceberg/lake-api.ts';
import { createLake } from '../../src/storage/iceberg/lake.ts';
import { newMetadata, type TableMetadata } from '../../src/storage/iceberg/metadata.ts';
import { tableDef as defOf } from '../../src/storage/iceberg/table-reader.ts';
import { foreignTag } from './foreign.ts';
import { createTable, EVENTS, LOG, segment, settings, tableDef, temporary } from './harness.ts';

async function start(dir = temporary()): Promise<{ dir: string; lake: LakeApi; state: LakeState }> {
  const lake = createLake(systemClock);
  return { dir, lake, state: await lake.open(settings(dir)) };
}

const column = (fieldId: number) => ({ fieldId, descending: false, nullsFirst: false });
const NOTE: IndexDef = { name: 't_note', method: 'hash', columns: [column(3)], included: [], options: {}, slot: 6 };
const ID: IndexDef = { ...NOTE, name: 't_id', columns: [column(1)], slot: 7 };
const BOTH: IndexDef = {
  name: 't_both',
  method: 'btree',
  columns: [
    { fieldId: 3, descending: true, nullsFirst: false, operatorClass: 'text_pattern_ops', collation: 'C' },
    { fieldId: 1, descending: true, nullsFirst: true },
  ],
  included: [2],
  options: { fillfactor: '70' },
  slot: 8,
};

test('indexes are set by a swap of properties alone, outlive commits, and are there after a start', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  const tableUuid = table.def.uuid;
  expect(await lake.setIndexes({ tableUuid, indexes: [NOTE] })).toContain('/metadata/00001-');
  const location = await lake.setIndexes({ tableUuid, indexes: [NOTE, ID, BOTH] });
  const s = await segment(table, dir, `SELECT 1, TIMESTAMP '2024-01-01 10:00:00', 'x'`, [0, 5]);
  const request = { tableUuid, logId: LOG, lsn: 5, segments: [s], deletes: [], removedDeletes: [], trigger: 'test' };
  expect(await lake.commit(request)).toMatchObject({ rows: 1, retries: 0, foreign: null });
  expect(await lake.refresh({ tableUuid, metadataLocation: location! })).toMatchObject({
    def: { indexes: [NOTE, ID, BOTH] },
  });
  await lake.shutdown(null);
  const again = await start(dir);
  expect(again.state.tables[0]).toMatchObject({ committedLsn: 5, detached: null, def: { indexes: [NOTE, ID, BOTH] } });
  await again.lake.setIndexes({ tableUuid, indexes: [] });
  await again.lake.shutdown(null);
  const last = await start(dir);
  expect(last.state.tables[0]).toMatchObject({ committedLsn: 5, detached: null, def: { indexes: [] } });
  await last.lake.shutdown(null);
});

test('what another writer has committed below a change of indexes is left for a refresh to tell', async () => {
  const { dir, lake } = await start();
  const table = await createTable(lake, tableDef('t', EVENTS));
  const tableUuid = table.def.uuid;
  const s = await segment(table, dir, `SELECT 1, TIMESTAMP '2024-01-01 10:00:00', 'x'`, [0, 5]);
  const { metadataLocation } = await lake.commit({
    tableUuid,
    logId: LOG,
    lsn: 5,
    segments: [s],
    deletes: [],
    removedDeletes: [],
    trigger: 'test',
  });
  await foreignTag(dir, 't', 'theirs');
  expect(await lake.setIndexes({ tableUuid, indexes: [NOTE] })).toBeNull();
  expect(await lake.refresh({ tableUuid, metadataLocation })).toMatchObject({ def: { indexes: [NOTE] } });
  await lake.shutdown(null);
});

test('indexes that an earlier version has stored are read; an index goes with its columns when another engine drops it; a damaged property is told', () => {
  const metadataWith = (indexes: string, change: Partial<TableMetadata> = {}): TableMetadata => ({
    ...newMetadata(tableDef('t', EVENTS), 'file:///t', 0, { 'arka.indexes': indexes }),
    ...change,
  });
  const read = (metadata: TableMetadata) => defOf({ schema: 'public', name: 't', metadataLocation: '', metadata });
  const both = JSON.stringify([
    { name: 't_note', method: 'hash', 'field-id': 3, slot: 6 },
    { name: 't_id', method: 'hash', 'field-id': 1, slot: 7 },
  ]);
  expect(read(metadataWith(both)).indexes).toEqual([NOTE, ID]);
  const [schema] = metadataWith(both).schemas;
  const without = { ...schema!, 'schema-id': 1, fields: schema!.fields.filter((field) => field.id !== 3) };
  const dropped = metadataWith(both, { schemas: [schema!, without], 'current-schema-id': 1 });
  expect(read(dropped).indexes).toEqual([ID]);
  expect(() => read(metadataWith('[{'))).toThrow(expect.objectContaining({ code: 'XX001' }));
});
