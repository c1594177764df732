/**
 * Which of the files that failed work has read is damaged, and where: DuckDB's errors rarely name either. Looked for only after
 * a failure, from what is cheap to what is not: is it there, its ends, its footer, then each column of each row group.
 */
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import { SqlError, SqlState } from '../errors.ts';
import { run, withLease, type Instance } from './connections.ts';
import { engineError } from './engine-errors.ts';
import { eachChunk } from './vector-reader.ts';

/** What DuckDB says of a damaged page may be anything. */
const MAY_BE_OF_FILE: ReadonlySet<SqlState> = new Set([
  SqlState.dataCorrupted,
  SqlState.ioError,
  SqlState.internalError,
]);
/** Beyond so many files pages are not looked at, one by one. */
const PAGES_OF_FILES_MAX = 64;
const MAGIC = 'PAR1';
/** Footer, its length, the magic of both ends. */
const BYTES_MIN = 12;

interface Damage {
  readonly code: SqlState;
  readonly what: string;
}
interface Chunk {
  readonly rowStart: number;
  readonly rowEnd: number;
  readonly column: string;
  readonly offset: number;
}

/** The error of reading `paths`, with the file and the offset where that can be known. */
export async function located(error: unknown, paths: readonly string[], instance: () => Instance): Promise<SqlError> {
  const known = engineError(error);
  if (!MAY_BE_OF_FILE.has(known.code)) return known;
  try {
    for (const path of paths) {
      const found = await endsOf(path);
      if (found !== null) return told(path, found, known);
    }
    for (const path of paths.slice(0, PAGES_OF_FILES_MAX)) {
      const at = await damagedAt(instance(), path);
      if (at !== null) return told(path, { code: SqlState.dataCorrupted, what: `is damaged at byte ${at}` }, known);
    }
  } catch {
    // what failed first is what must be told
  }
  return known;
}

function told(path: string, { code, what }: Damage, cause: SqlError): SqlError {
  const { detail } = cause.fields;
  const message = `data file "${basename(path)}" ${what}`;
  return new SqlError(code, message, {
    ...(detail === undefined ? {} : { detail }),
    hint: 'Restore the file from a copy of the warehouse.',
    cause: cause.fields.cause ?? cause,
  });
}

async function endsOf(path: string): Promise<Damage | null> {
  const damaged = (what: string): Damage => ({ code: SqlState.dataCorrupted, what: `is damaged ${what}` });
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size < BYTES_MIN) return damaged(`at byte 0: it has ${size} bytes`);
    const head = Buffer.alloc(4);
    const tail = Buffer.alloc(8);
    await file.read(head, 0, 4, 0);
    await file.read(tail, 0, 8, size - 8);
    if (head.toString('latin1') !== MAGIC) return damaged('at byte 0: no magic bytes');
    if (tail.toString('latin1', 4) !== MAGIC) return damaged(`at byte ${size - 4}: no magic bytes at its end`);
    const footer = tail.readUInt32LE(0);
    return footer + BYTES_MIN > size ? damaged(`at byte ${size - 8}: a footer of ${footer} bytes`) : null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'permission denied' : code;
    return { code: SqlState.ioError, what: `could not be read: ${why}` };
  }
}

/** Null: it can be read. */
async function damagedAt(instance: Instance, path: string): Promise<number | null> {
  const chunks = await chunksOf(instance, path).catch(() => null);
  if (chunks === null) return footerOf(path);
  for (const { column, rowStart, rowEnd, offset } of chunks) {
    const name = quoteIdentifier(column);
    const sql = `SELECT count(hash(${name})) FROM read_parquet([${quoteLiteral(path)}], hive_partitioning=false, file_row_number=true) WHERE file_row_number >= ${rowStart} AND file_row_number < ${rowEnd}`;
    const failed = await withLease(instance, (lease) => run(lease, sql)).then(
      () => false,
      () => true,
    );
    if (failed) return offset;
  }
  return null;
}

async function footerOf(path: string): Promise<number> {
  await using file = await open(path, 'r');
  const { size } = await file.stat();
  const length = Buffer.alloc(4);
  await file.read(length, 0, 4, size - 8);
  return size - 8 - length.readUInt32LE(0);
}

async function chunksOf(instance: Instance, path: string): Promise<Chunk[]> {
  const sql = `SELECT row_group_id::INTEGER, row_group_num_rows::INTEGER, least(data_page_offset, coalesce(dictionary_page_offset, data_page_offset))::DOUBLE, path_in_schema
    FROM parquet_metadata(${quoteLiteral(path)}) ORDER BY row_group_id, column_id`;
  const chunks: Chunk[] = [];
  const decoder = new TextDecoder();
  await withLease(instance, async (lease) => {
    let group = 0;
    let rowStart = 0;
    let rowEnd = 0;
    await eachChunk(await run(lease, sql), ([groups, rows, offsets, columns], count) => {
      for (let i = 0; i < count; i++) {
        if (groups!.words[i] !== group) {
          group = groups!.words[i]!;
          rowStart = rowEnd;
        }
        rowEnd = rowStart + rows!.words[i]!;
        const column = decoder.decode(columns!.heap.subarray(columns!.starts[i], columns!.ends[i]));
        chunks.push({ rowStart, rowEnd, column, offset: offsets!.float64[i]! });
      }
    });
  });
  return chunks;
}
