/**
 * Iceberg v2 position-delete files: (file_path, pos) with the reserved field ids, sorted by path and position.
 * @see https://iceberg.apache.org/spec/#position-delete-files
 */
import { quoteLiteral } from '../sql-text.ts';
import { invariant } from '../errors.ts';
import type { ColumnDef } from '../table-def.ts';
import type { PositionDeletes } from '../storage/unit-engine.ts';
import { Oid } from '../types/pg-type.ts';
import { run, type Lease } from './connections.ts';
import type { WrittenFile } from './engine-api.ts';
import { positionListSource } from './delete-sources.ts';
import { copyTo } from './parquet-out.ts';
import { addSource, type SourceRegistry } from './row-source.ts';
import { readParquet } from './scan-sql.ts';
import { eachChunk } from './vector-reader.ts';

const FILE_PATH_ID = 2_147_483_546;
const POS_ID = 2_147_483_545;
const COLUMNS: readonly ColumnDef[] = [
  {
    name: 'file_path',
    fieldId: FILE_PATH_ID,
    attnum: 1,
    type: { oid: Oid.text, typmod: -1 },
    notNull: true,
    default: null,
  },
  { name: 'pos', fieldId: POS_ID, attnum: 2, type: { oid: Oid.int8, typmod: -1 }, notNull: true, default: null },
];

export async function writePositionDeletes(
  lease: Lease,
  request: { readonly path: string; readonly deletes: readonly PositionDeletes[] },
  context: { readonly registry: SourceRegistry; readonly sourceIds: number[] },
): Promise<WrittenFile> {
  const encoder = new TextEncoder();
  const files = request.deletes
    .map(({ location, positions }) => ({ location, bytes: encoder.encode(location), positions: positions.toSorted() }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const source = addSource(context.registry, positionListSource(files.map(({ positions }) => positions)));
  context.sourceIds.push(source.id);
  const paths = files.map(({ location }, i) => `(${i}::UBIGINT, ${quoteLiteral(location)})`).join(', ');
  const select =
    files.length === 1
      ? `SELECT ${quoteLiteral(files[0]!.location)} AS file_path, c1 AS pos FROM ${source.sql} ORDER BY c1`
      : `SELECT p.path AS file_path, s.c1 AS pos FROM ${source.sql} AS s JOIN (VALUES ${paths}) AS p(file, path) ON p.file = s.c0 ORDER BY s.c0, s.c1`;
  const fieldIds = [`file_path: ${FILE_PATH_ID}`, `pos: ${POS_ID}`];
  const written = await copyTo(lease, select, fieldIds, COLUMNS, request.path);
  invariant(written !== null, 'a position-delete file has positions');
  return wholePathBounds(written, files[0]!.bytes, files.at(-1)!.bytes);
}

/** Readers find the data file of a delete file by equal, untruncated bounds of file_path. */
function wholePathBounds(written: WrittenFile, lower: Uint8Array, upper: Uint8Array): WrittenFile {
  const columns = written.columns.map((column) =>
    column.fieldId === FILE_PATH_ID ? { ...column, lower, upper } : column,
  );
  return { ...written, columns };
}

/** Sorted positions of every data file that the files name. */
export async function readPositionDeletes(lease: Lease, paths: readonly string[]): Promise<readonly PositionDeletes[]> {
  if (paths.length === 0) return [];
  const files = paths.map((path, unit) => ({ unit, rows: 0, path, deletes: null }));
  const from = readParquet(COLUMNS, files);
  // Numbers instead of paths: one path a file instead of one a row.
  const locations: string[] = [];
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const names = await run(lease, `SELECT DISTINCT f${FILE_PATH_ID} FROM ${from} ORDER BY 1`);
  await eachChunk(names, ([path], rows) => {
    for (let i = 0; i < rows; i++) locations.push(decoder.decode(path!.heap.subarray(path!.starts[i], path!.ends[i])));
  });
  const lists = new Map<number, number[]>();
  const all = await run(
    lease,
    `SELECT DISTINCT dense_rank() OVER (ORDER BY f${FILE_PATH_ID})::INTEGER - 1, f${POS_ID} FROM ${from} ORDER BY 1, 2`,
  );
  await eachChunk(all, ([file, position], rows) => {
    for (let i = 0; i < rows; i++) {
      const key = file!.words[i]!;
      const list = lists.get(key);
      if (list === undefined) lists.set(key, [position!.words[i * 2]!]);
      else list.push(position!.words[i * 2]!);
    }
  });
  return locations.map((location, i) => ({ location, positions: Uint32Array.from(lists.get(i) ?? []) }));
}
