/**
 * The stream of a large transaction from its beginning (H1), for one whose first stream was given up since own rows died, or
 * whose deletions do not fit the frame that commits it: what it deleted of others by name, its live rows from their files, its
 * live rows from memory.
 */
import type { DataFileUnit } from '../storage/file-unit.ts';
import type { SectionKind } from '../storage/log/frame-section.ts';
import type { LogStream } from '../storage/log/log-api.ts';
import { RowBuffer } from '../storage/memory/row-buffer.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import type { MemorySlice } from '../storage/memory/slice.ts';
import { nameFields } from '../table-def.ts';
import { replaced } from './replaced-file.ts';
import { encodeFrame } from './frame.ts';
import { assertOpen } from './key-locks.ts';
import { streamWithRoom, type StreamHost } from './stream-room.ts';
import { StreamedWrites } from './stream-writes.ts';
import type { TableWrites, Transaction } from './transaction.ts';

/** Rows asked for at once, and about so many bytes. */
const ROWS_MAX = 20_480;
const BYTES_MAX = 2 ** 22;

interface Host extends StreamHost {
  readonly memory: Memory;
  readonly engine: UnitEngine;
}

/** @returns the stream, sealed; it holds everything that the transaction does */
export async function streamAnew(host: Host, transaction: Transaction): Promise<LogStream> {
  transaction.giveUpStream();
  const stream = streamWithRoom(host);
  transaction.streamed = new StreamedWrites(stream); // it goes with the transaction
  for (const writes of transaction.logged) {
    const { deletedNames } = writes;
    if (writes.isTruncated) continue;
    await pushGoneNames(host, stream, transaction, writes);
    for (const batch of deletedNames.batches) await push(stream, writes, 'delete', batch.vectors(), batch.rows);
  }
  for (const writes of transaction.logged) {
    for (const { file } of writes.spilled.all) await pushFile(host, stream, transaction, writes, file);
    await pushMemory(host.memory, stream, writes);
  }
  await stream.seal();
  return stream;
}

/** Names that are in no stream any more, and not in memory: their rows have them, wherever those are now. */
async function pushGoneNames(
  { engine, memory }: Host,
  stream: LogStream,
  transaction: Transaction,
  writes: TableWrites,
): Promise<void> {
  const { table, deleted } = writes;
  const { first } = writes.deletedNames;
  const fieldIds = nameFields(table.def);
  for (let at = 0; at < first; at += ROWS_MAX) {
    const pin = memory.pins.acquire(); // rows may move while files are read
    const names = new RowBuffer(memory, table.namePhysicals);
    try {
      const files: [DataFileUnit, Uint32Array][] = [];
      for (const [id, positions] of deleted.byUnit(at, Math.min(first, at + ROWS_MAX))) {
        const unit = table.unit(id);
        if (unit === undefined) return replaced(table);
        if (unit.tier === 'memory') appendNames(unit, positions, table.nameColumns, names);
        else files.push([unit, positions.toSorted()]);
      }
      for (const batch of names.batches) await push(stream, writes, 'delete', batch.vectors(), batch.rows);
      for (const [file, positions] of files)
        for (const read of await engine.readRows({ def: table.def, file: file.scan(0), positions, fieldIds }))
          await push(stream, writes, 'delete', read.vectors, read.rows);
    } finally {
      names.retire();
      pin.release();
    }
    if (transaction.state === 'done') assertOpen(transaction);
  }
}

function appendNames(slice: MemorySlice, positions: Uint32Array, columns: readonly number[], to: RowBuffer): void {
  for (const position of positions) {
    const { batch, row } = slice.locate(position);
    const vectors = columns.map((column) => batch.columns[column]!.vector());
    to.append(vectors, row, row + 1);
  }
}

async function push(
  stream: LogStream,
  { table }: TableWrites,
  kind: SectionKind,
  vectors: readonly ColumnVector[],
  rows: number,
): Promise<void> {
  if (rows === 0) return;
  const fieldIds = kind === 'delete' && table.keyed ? table.def.key : table.fieldIds;
  const { schemaId } = table.def;
  const section = { tableUuid: table.uuidBytes, schemaId, kind, fieldIds, vectors, start: 0, end: rows };
  await stream.push(rows, encodeFrame([section]));
}

async function pushFile(
  { engine }: Host,
  stream: LogStream,
  transaction: Transaction,
  writes: TableWrites,
  file: DataFileUnit,
): Promise<void> {
  const { def, fieldIds } = writes.table;
  // Parquet is smaller than rows are in memory by some times.
  const step = Math.max(1, Math.min(ROWS_MAX, Math.floor((BYTES_MAX * file.rows) / (file.info.bytes * 4))));
  for (let at = 0; at < file.rows; at += step) {
    const live: number[] = [];
    for (let position = at; position < Math.min(file.rows, at + step); position++)
      if (!file.deletes.has(position)) live.push(position);
    const positions = Uint32Array.from(live);
    for (const read of await engine.readRows({ def, file: file.scan(0), positions, fieldIds }))
      await push(stream, writes, 'insert', read.vectors, read.rows);
    if (transaction.state === 'done') assertOpen(transaction);
  }
}

async function pushMemory(memory: Memory, stream: LogStream, writes: TableWrites): Promise<void> {
  const { inserted, dead } = writes;
  for (let i = 0; i < inserted.batches.length; i++) {
    const batch = inserted.batches[i]!;
    if (dead.length === 0) {
      await push(stream, writes, 'insert', batch.vectors(), batch.rows);
      continue;
    }
    const live = new RowBuffer(memory, inserted.physicals);
    try {
      const start = inserted.batchStart(i);
      for (let row = 0; row < batch.rows; row++)
        if (!writes.isDead(start + row)) live.append(batch.vectors(), row, row + 1);
      for (const each of live.batches) await push(stream, writes, 'insert', each.vectors(), each.rows);
    } finally {
      live.retire();
    }
  }
}
