/** A lake on a temporary folder, real Parquet files by DuckDB, and the table that most tests use. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { systemClock, type Clock } from '../../src/clock.ts';
import {
  NO_DEFINITIONS,
  type DeleteFile,
  type LakeApi,
  type LakeSettings,
  type PartitionValue,
  type Segment,
  type TableState,
} from '../../src/storage/iceberg/lake-api.ts';
import { dataFileLocation, partitionPath } from '../../src/storage/iceberg/paths.ts';
import { unknownDef, type ColumnDef, type PartitionField, type TableDef } from '../../src/table-def.ts';
import { duckdbType, icebergType, numericTypmod, Oid } from '../../src/types/pg-type.ts';

export function temporary(): string {
  return mkdtempSync(join(tmpdir(), 'arka-lake-'));
}

export function settings(dataDir: string, over: Partial<LakeSettings> = {}): LakeSettings {
  return {
    dataDir,
    warehouse: join(dataDir, 'warehouse'),
    catalogName: 'arka',
    owner: 'test',
    keepSnapshots: 20,
    maxSnapshotAgeMs: 5 * 86_400_000,
    fileGraceMs: 86_400_000,
    ...over,
  };
}

export const LOG = 'a'.repeat(32);

export function column(name: string, fieldId: number, oid: number, more: Partial<ColumnDef> = {}): ColumnDef {
  return { name, fieldId, attnum: fieldId, type: { oid, typmod: -1 }, notNull: false, default: null, ...more };
}

export function tableDef(name: string, columns: readonly ColumnDef[], more: Partial<TableDef> = {}): TableDef {
  return {
    ...unknownDef(randomUUID(), 'public', name),
    oid: 20_000,
    columns,
    ...more,
  };
}

export const EVENTS = [
  column('id', 1, Oid.int8, { notNull: true }),
  column('ts', 2, Oid.timestamptz),
  column('note', 3, Oid.text),
] as const;

export const ALL_TYPES: readonly ColumnDef[] = [
  column('id', 1, Oid.int8, { notNull: true }),
  column('b', 2, Oid.bool),
  column('i', 3, Oid.int4),
  column('s', 4, Oid.int2),
  column('r', 5, Oid.float4),
  column('d', 6, Oid.float8),
  column('n', 7, Oid.numeric, { type: { oid: Oid.numeric, typmod: numericTypmod(12, 2) } }),
  column('t', 8, Oid.text),
  column('x', 9, Oid.bytea),
  column('dt', 10, Oid.date),
  column('tm', 11, Oid.time),
  column('ts', 12, Oid.timestamp),
  column('tz', 13, Oid.timestamptz),
  column('u', 14, Oid.uuid),
  column('j', 15, Oid.jsonb),
];

export function manualClock(start = 1_700_000_000_000): Clock & { ms: number } {
  return {
    ...systemClock,
    ms: start,
    now() {
      return this.ms;
    },
  };
}

/** Runs one SQL statement in a DuckDB of its own; the rows as JSON values. */
export async function duckdb(sql: string): Promise<unknown[][]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  try {
    const connection = await instance.connect();
    await connection.run(`SET TimeZone = 'UTC'`);
    const rows = (await connection.runAndReadAll(sql)).getRowsJson();
    connection.closeSync();
    return rows;
  } finally {
    instance.closeSync();
  }
}

let files = 0;

/** A staged segment with the rows of `select` (columns in def order). */
export async function segment(
  state: TableState,
  dataDir: string,
  select: string,
  lsns: readonly [number, number],
  partition: readonly PartitionValue[] = [],
): Promise<Segment> {
  const { def } = state;
  const folder = join(dataDir, 'disk', def.uuid);
  mkdirSync(folder, { recursive: true });
  const name = `${String(++files).padStart(5, '0')}-${randomUUID()}.parquet`;
  const path = join(folder, name);
  const ids = def.columns.map((c) => `"${c.name}": ${c.fieldId}`).join(', ');
  const casts = def.columns.map((c, i) => `CAST(c${i} AS ${duckdbType(c.type)}) AS "${c.name}"`).join(', ');
  await duckdb(
    `COPY (SELECT ${casts} FROM (${select}) AS v(${def.columns.map((_, i) => `c${i}`).join(', ')})) TO '${path}' (FORMAT parquet, FIELD_IDS {${ids}})`,
  );
  const rows = Number((await duckdb(`SELECT count(*) FROM read_parquet('${path}')`))[0]![0]);
  const types = def.partition.map((field) => icebergType(def.columns.find((c) => c.fieldId === field.sourceId)!.type));
  return {
    location: dataFileLocation(state.location, partitionPath(def.partition, types, partition), name),
    path,
    rows,
    bytes: statSync(path).size,
    columns: [],
    partition,
    specId: state.specId,
    lsnFrom: lsns[0],
    lsnTo: lsns[1],
  };
}

export async function deleteFile(dataDir: string, dataFile: string, positions: readonly number[]): Promise<DeleteFile> {
  const path = join(dataDir, `${randomUUID()}.parquet`);
  await duckdb(
    `COPY (SELECT '${dataFile}' AS file_path, unnest([${positions.join(', ')}]::BIGINT[]) AS pos) TO '${path}' (FORMAT parquet, FIELD_IDS {file_path: 2147483546, pos: 2147483545})`,
  );
  return { targets: [dataFile], scope: 'file', path, rows: positions.length, bytes: statSync(path).size };
}

export function part(
  sourceId: number,
  fieldId: number,
  name: string,
  transform: PartitionField['transform'],
  arg = 0,
): PartitionField {
  return { sourceId, fieldId, name, transform, arg };
}

type Definer = Pick<LakeApi, 'define' | 'newLocation'>;

export async function createTable(lake: Definer, def: TableDef): Promise<TableState> {
  const newTables = [{ def, location: await lake.newLocation(def) }];
  return (await lake.define({ ...NO_DEFINITIONS, newTables })).created[0]!;
}

export const dropTable = (lake: Definer, uuid: string): Promise<unknown> =>
  lake.define({ ...NO_DEFINITIONS, droppedTables: [uuid] });
export const createSchema = (lake: Definer, name: string): Promise<unknown> =>
  lake.define({ ...NO_DEFINITIONS, newSchemas: [name] });
export const dropSchema = (lake: Definer, name: string): Promise<unknown> =>
  lake.define({ ...NO_DEFINITIONS, droppedSchemas: [name] });
