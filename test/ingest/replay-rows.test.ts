/** What the log says of small transactions, and what replay makes of it. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Database } from '../../src/ingest/database.ts';
import { encodeFrame } from '../../src/ingest/frame.ts';
import { ReplayRows } from '../../src/ingest/replay-rows.ts';
import type { RecoveredFrame } from '../../src/storage/log/log-api.ts';
import { tableSecret } from '../../src/storage/memory/keyed-hash.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { RowBuffer } from '../../src/storage/memory/row-buffer.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { Table } from '../../src/storage/table.ts';
import { unknownDef, type TableDef } from '../../src/table-def.ts';
import type { Physical } from '../../src/types/column-vector.ts';
import { numericTypmod, Oid } from '../../src/types/pg-type.ts';
import { getRows, physicals, put, rowsOf, type Value } from '../memory/values.ts';

const OID_OF: Readonly<Record<Physical, number>> = {
  bool: Oid.bool,
  int32: Oid.int4,
  int64: Oid.int8,
  int128: Oid.numeric,
  float32: Oid.float4,
  float64: Oid.float8,
  fixed16: Oid.uuid,
  bytes: Oid.text,
};

interface World {
  readonly memory: Memory;
  readonly tables: readonly Table[];
  readonly database: Database;
}

/** Two keyless tables of the same columns. */
function world(types: readonly Physical[]): World {
  const memory = new Memory(4 * SLAB_BYTES);
  let unit = 0;
  const tables = ['a', 'b'].map((name) => {
    const columns = types.map((physical, i) => ({
      name: `c${i}`,
      fieldId: i + 1,
      attnum: i + 1,
      type: { oid: OID_OF[physical], typmod: physical === 'int128' ? numericTypmod(30, 2) : -1 },
      notNull: false,
      default: null,
    }));
    const def: TableDef = {
      ...unknownDef(randomUUID(), 'public', name),
      oid: 20_000,
      columns,
    };
    return new Table(memory, () => ++unit, tableSecret(new Uint8Array(16), def.uuid), def, '', 0);
  });
  const committer = { appliedLsn: 0, publishedLsn: 0 };
  const database = { memory, committer, tables: new Map(tables.map((table) => [table.def.uuid, table])) };
  return { memory, tables, database: database as unknown as Database };
}

/** The rows as one frame's payload, at a multiple of 8 somewhere in a window. */
function payloadOf(memory: Memory, table: Table, types: readonly Physical[], rows: readonly (readonly Value[])[]) {
  const buffer = new RowBuffer(memory, types);
  const sinks = buffer.sinks();
  for (const row of rows) {
    row.forEach((value, i) => put(sinks[i]!, types[i]!, value));
    buffer.endRow();
  }
  const uuid = Buffer.from(table.def.uuid.replaceAll('-', ''), 'hex');
  const parts = encodeFrame([
    {
      tableUuid: uuid,
      schemaId: 0,
      kind: 'insert',
      fieldIds: table.fieldIds,
      vectors: buffer.batches[0]!.vectors(),
      start: 0,
      end: rows.length,
    },
  ]);
  buffer.retire();
  return parts;
}

function frameOf(parts: readonly Uint8Array[], count: number, firstLsn: number): RecoveredFrame {
  const bytes = new Uint8Array(32 + parts.reduce((sum, part) => sum + part.length, 0));
  let at = 24;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return { kind: 'data', firstLsn, count, transaction: firstLsn, last: true, payload: bytes.subarray(24, at) };
}

const rowsIn = (table: Table): Value[][] =>
  [...table.slices()].flatMap((slice) =>
    Array.from({ length: slice.published }, (_, position) => {
      const { batch, row } = slice.locate(position);
      return getRows(batch.vectors(), row, row + 1)[0]!;
    }),
  );

test('rows of small transactions come out of the log as they went in, in order, whatever their types and tables', () => {
  const transactions = (types: readonly Physical[]) =>
    fc.array(
      fc.record({ table: fc.nat(1), rows: rowsOf(types, 6).filter((rows) => rows.length > 0), release: fc.boolean() }),
      { maxLength: 20 },
    );
  fc.assert(
    fc.property(
      physicals.chain((types) => transactions(types).map((list) => ({ types, list }))),
      ({ types, list }) => {
        const { memory, tables, database } = world(types);
        const replay = new ReplayRows(database, () => true);
        const expected: (readonly Value[])[][] = [[], []];
        let lsn = 1;
        for (const { table, rows, release } of list) {
          const parts = payloadOf(memory, tables[table]!, types, rows);
          expect(replay.take(frameOf(parts, rows.length, lsn))).toBe(rows.length);
          expected[table]!.push(...rows);
          lsn += rows.length;
          if (release) replay.release();
        }
        replay.release();
        expect(tables.map(rowsIn)).toEqual(expected);
        expect(database.committer.appliedLsn).toBe(lsn - 1);
      },
    ),
    { numRuns: 60 },
  );
});

test('a frame that the table has already, of other columns, of a dropped table or of a longer transaction is not taken', () => {
  const types: readonly Physical[] = ['int64', 'bytes'];
  const { memory, tables, database } = world(types);
  const parts = payloadOf(memory, tables[0]!, types, [[[7, 0], 'x']]);
  const frame = frameOf(parts, 1, 10);
  expect(new ReplayRows(database, (_, lsn) => lsn > 10).take(frame)).toBe(0);
  expect(new ReplayRows(database, () => true).take({ ...frame, last: false })).toBe(0);
  expect(new ReplayRows(database, () => true).take({ ...frame, kind: 'checkpoint' })).toBe(0);

  const other = payloadOf(memory, tables[0]!, ['int64', 'bool'], [[[7, 0], true]]);
  expect(new ReplayRows(database, () => true).take(frameOf(other, 1, 10))).toBe(0);
  database.tables.delete(tables[0]!.def.uuid);
  expect(new ReplayRows(database, () => true).take(frame)).toBe(0);
  expect(tables.map(rowsIn)).toEqual([[], []]);
});
