/**
 * `arka doctor`: what keeps tables from being written, and the decision that ends it (C6). It works on the data directory
 * itself, so the server must be stopped.
 */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { systemClock } from './clock.ts';
import type { Config } from './config.ts';
import { SqlError, SqlState } from './errors.ts';
import type { RecoveredTable } from './storage/iceberg/lake-api.ts';
import { createLake } from './storage/iceberg/lake.ts';
import { decodeCheckpoint } from './storage/log/checkpoint.ts';
import { openLog } from './storage/log/log.ts';

/** What to do with a table, named `schema.table`. */
export interface Treatment {
  readonly table: string;
  readonly how: 'repoint' | 'accept';
}

const nameOf = ({ def }: RecoveredTable): string => `${def.schema}.${def.name}`;

/** @returns lines for people */
export async function doctor(config: Config, treatment: Treatment | null): Promise<readonly string[]> {
  await using stack = new AsyncDisposableStack();
  const dataDir = resolve(config.server.dataDir);
  const lake = createLake(systemClock);
  stack.defer(() => lake.shutdown(null));
  await lake.lock(dataDir);
  const log = stack.use(
    await openLog({ dir: join(dataDir, 'wal'), segmentBytes: config.wal.segmentSize, ringBytes: 2 ** 20 }),
  );
  const { logId, firstLsn, lastLsn, checkpoint } = log;
  const { tables } = await lake.open({
    dataDir,
    warehouse: config.catalog.warehouse === '' ? join(dataDir, 'warehouse') : config.catalog.warehouse,
    catalogName: config.catalog.name,
    owner: `${hostname()}:${process.pid}`,
    keepSnapshots: config.iceberg.keepSnapshots,
    maxSnapshotAgeMs: config.iceberg.maxSnapshotAge,
    fileGraceMs: config.iceberg.fileGrace,
    log: { logId, firstLsn, lastLsn, checkpoint: checkpoint === null ? null : decodeCheckpoint(checkpoint) },
    restoreCatalog: treatment?.how === 'repoint',
  });
  if (treatment === null) {
    const ill = tables.filter((table) => table.detached !== null);
    if (ill.length === 0) return [`${tables.length} tables, all of them writable`];
    return ill.flatMap((table) => {
      const { message, detail, hint } = table.detached!;
      return [`${nameOf(table)} is read-only: ${message}`, `  ${detail}`, `  ${hint}`];
    });
  }
  const table = tables.find((each) => nameOf(each) === treatment.table);
  if (table === undefined)
    throw new SqlError(SqlState.undefinedTable, `table "${treatment.table}" does not exist`, {
      hint: 'Name it as schema.table.',
    });
  if (table.detached === null) return [`${treatment.table} is writable: nothing to do`];
  await lake.reattach({ tableUuid: table.def.uuid, how: treatment.how });
  return treatment.how === 'repoint'
    ? [`${treatment.table}: the catalog shows ${table.detached.last.metadataLocation} again`]
    : [
        `${treatment.table}: accepted as the catalog shows it; operations up to LSN ${table.detached.last.lsn} are not replayed`,
      ];
}
