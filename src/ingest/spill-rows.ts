/**
 * The own rows of a large transaction leave memory while it runs (H1): what is complete is written as files in their final
 * form, one a partition, that nobody else sees until the commit (storage/spilled-units.ts).
 *
 * - E1 Their keys were claimed before, and the rows are in the log's stream, or no stream is used.
 * - E2 Rows stay in memory, and their keys in the index of own rows, until the files are durable (C10); both change in one
 *   synchronous step.
 * - E3 A transaction that ends meanwhile leaves no file. Nor does one whose statement is cancelled: nobody waits for the file
 *   that is being written then, and it goes when it has been.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { canceled } from '../errors.ts';
import type { Remote } from '../rpc.ts';
import type { DiskCache } from '../storage/disk/disk-cache.ts';
import { DataFileUnit } from '../storage/file-unit.ts';
import type { LakeApi, PartitionValue } from '../storage/iceberg/lake-api.ts';
import { partitionKey } from '../storage/iceberg/transforms.ts';
import type { Memory } from '../storage/memory/memory.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import type { SpilledUnit } from '../storage/spilled-units.ts';
import type { Table } from '../storage/table.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import { assertOpen } from './key-locks.ts';
import { segmentOf } from './segment.ts';
import type { TableWrites, Transaction } from './transaction.ts';

/** From this share of the memory for rows on own rows go to files; the lower one counts while memory is short. */
export const SPILL_FRACTION = 0.2;
const SPILL_FRACTION_PRESSED = 0.05;
const NEVER = new AbortController().signal;

/** What it needs of the database. */
export interface SpillHost {
  readonly memory: Memory;
  readonly engine: UnitEngine;
  readonly lake: Pick<Remote<LakeApi>, 'removeFiles'>;
  readonly disk: Pick<DiskCache, 'reserve'>;
  readonly diskDir: string;
  readonly pressed: boolean;
  readonly index: { sync(table: Table): Promise<void> } | null;
  readonly nextUnit: () => number;
  readonly warn: (error: unknown, where: string) => void;
}

/** Rows of one file: positions in the unit of own rows, or all of them. */
interface Part {
  readonly partition: readonly PartitionValue[];
  readonly from: number;
  readonly to: number;
  readonly picks: number[] | null;
}

/**
 * After rows were claimed: undefined, or a promise while they are written.
 * @param from the statement's first own row: readers under way know none from there on, and no file spans it
 * @param abandoned the statement is cancelled: what is not in files yet stays where it is, E3
 * @throws {SqlError} 53100 when disk.limit has no room for more
 */
export function spillRows(
  host: SpillHost,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  abandoned: AbortSignal,
): Promise<void> | undefined {
  const { batches } = writes.inserted;
  if (batches.length < 2 || writes.uniques !== null) return undefined; // U2 of unique-writes.ts
  const { pool } = host.memory;
  let bytes = 0;
  for (let i = 0; i < batches.length - 1; i++) bytes += batches[i]!.heldBytes;
  const fraction = host.pressed ? SPILL_FRACTION_PRESSED : SPILL_FRACTION;
  if (bytes < pool.budgetBytes * fraction || writes.mayRevive) return undefined;
  return spill(host, transaction, writes, from, abandoned);
}

/** Without a look at how much it is; the last batch stays. */
export async function spill(
  host: SpillHost,
  transaction: Transaction,
  writes: TableWrites,
  from: number,
  abandoned: AbortSignal = NEVER,
): Promise<void> {
  const { inserted, table } = writes;
  const goOn = (): void => {
    assertOpen(transaction);
    if (abandoned.aborted) throw canceled();
  };
  const count = inserted.batches.length - 1; // the last one takes rows still
  const end = inserted.batchStart(count);
  // Rows in memory count as the files that they will be: copies have to be out of their way.
  (await host.disk.reserve(0, 'Files with rows of a transaction'))();
  goOn();
  writes.growInto(transaction.id, inserted.rows, 0);
  writes.removeFiles = (files) => removeLater(host, files);
  const units: SpilledUnit[] = [];
  let placed = false;
  const pin = host.memory.pins.acquire();
  const { unit: rows, read } = writes.lend(count);
  try {
    const parts = await partsOf(goOn, writes, end, from);
    for (const part of parts) {
      const unit = await writePart(host, table, rows, part);
      if (unit !== null) units.push(unit);
      goOn();
    }
    transaction.spilling(writes, count);
    read();
    writes.spill(units, end);
    placed = true;
  } finally {
    read();
    pin.release();
    if (!placed)
      removeLater(
        host,
        units.map(({ file }) => file),
      );
  }
  void host.index?.sync(table);
}

async function writePart(
  host: SpillHost,
  table: Table,
  rows: MemoryUnit,
  { partition, from, to, picks }: Part,
): Promise<SpilledUnit | null> {
  const path = join(host.diskDir, `${randomUUID()}.parquet`);
  const whole = { ...rows, rows: to - from, deletes: null };
  const unit = picks === null ? whole : { ...rows, deletes: null, picks: Uint32Array.from(picks) };
  const written = await host.engine.writeParquet({ def: table.def, memory: [unit], files: [], path });
  if (written === null) return null;
  const segment = segmentOf(table, written, partition, 0, 0);
  return { file: new DataFileUnit(host.memory, host.nextUnit(), table.def, segment, 'disk'), from, to };
}

/** The live rows before `end` by savepoint and partition, routed as commits route them. */
async function partsOf(goOn: () => void, writes: TableWrites, end: number, from: number): Promise<readonly Part[]> {
  const { inserted, table } = writes;
  const { first } = inserted;
  const inside = [...writes.spillCuts, from].filter((row) => row > first && row < end);
  if (!table.partitioned && inside.length === 0 && writes.dead.length === 0)
    return [{ partition: [], from: first, to: end, picks: null }];
  const cuts = [...new Set([...inside, end])].sort((a, b) => a - b);
  const parts: Part[] = [];
  let low = first;
  for (const high of cuts) {
    const byPartition = new Map<string, Part>();
    for (let index = inserted.batchOf(low); index < inserted.batches.length; index++) {
      const start = inserted.batchStart(index);
      if (start >= high) break;
      const batch = inserted.batches[index]!;
      const vectors = batch.vectors();
      for (let row = Math.max(low, start); row < Math.min(high, start + batch.rows); row++) {
        if (writes.isDead(row)) continue;
        const values = table.partitionOf(vectors, row - start);
        const key = partitionKey(values);
        let part = byPartition.get(key);
        if (part === undefined) byPartition.set(key, (part = { partition: values, from: low, to: high, picks: [] }));
        part.picks!.push(row - first);
      }
      await new Promise<void>((resolve) => setImmediate(resolve)); // others have their turn
      goOn();
    }
    parts.push(...byPartition.values());
    low = high;
  }
  return parts;
}

/** Behind the readers that may have them. */
function removeLater(host: SpillHost, files: readonly DataFileUnit[]): void {
  const paths = files.map((file) => file.path);
  const bytes = files.reduce((sum, { info }) => sum + info.bytes, 0);
  host.memory.pins.whenUnpinned(
    () =>
      void host.lake.removeFiles(paths).catch((error: unknown) => host.warn(error, 'removing rows of a transaction')),
    bytes,
    'disk',
  );
}
