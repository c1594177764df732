/**
 * The lake's side of partial copies: some byte ranges of a remote file in a local file of the same length, with holes for the
 * rest, so that what reads the file by offsets finds them in place. Which ranges, and for how long, is decided on main
 * (partial-files.ts).
 */
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SqlError, SqlState } from '../../errors.ts';
import { sideBySide } from '../../side-by-side.ts';
import { ioError } from '../iceberg/local-store.ts';
import type { ObjectStore, ObjectVersion } from '../iceberg/object-store.ts';

export interface PartsRequest {
  /** Where the whole copy would lie in the disk cache: names the object. */
  readonly path: string;
  /** The file with holes. */
  readonly part: string;
  /** Of the object. */
  readonly bytes: number;
  /** [start, end) each. Null: the footer of a Parquet file, in a new part. */
  readonly ranges: readonly (readonly [number, number])[] | null;
}

/** Most footers are shorter. */
const TAIL_BYTES = 64 * 1024;
const TRAILER_BYTES = 8;
/** Of one request at a time: a store takes its time to answer. */
const GETS_MAX = 8;

/** How many bytes it has fetched. All ranges are of the same version. @throws {SqlError} 58030, XX001 when the object is no Parquet file of that length */
export async function fetchParts(
  store: ObjectStore,
  location: string,
  request: PartsRequest,
  version: ObjectVersion = { tag: null },
): Promise<number> {
  const { part, bytes, ranges } = request;
  const get: Get = (start, end) => exactly(store, location, start, end, version);
  const parts = ranges === null ? await footer(get, location, bytes) : [];
  const rest = await sideBySide(ranges ?? [], GETS_MAX, async ([start, end]): Promise<Part> => [
    start,
    await get(start, end),
  ]);
  parts.push(...rest);
  try {
    await mkdir(dirname(part), { recursive: true });
    await using file = await open(part, ranges === null ? 'w' : 'r+');
    if (ranges === null) await file.truncate(bytes);
    for (const [at, chunk] of parts)
      for (let done = 0; done < chunk.length;)
        done += (await file.write(chunk, done, chunk.length - done, at + done)).bytesWritten;
  } catch (error) {
    throw ioError(error, part);
  }
  return parts.reduce((sum, [, chunk]) => sum + chunk.length, 0);
}

type Get = (start: number, end: number) => Promise<Uint8Array>;
type Part = [at: number, chunk: Uint8Array];

async function footer(get: Get, location: string, bytes: number): Promise<Part[]> {
  const start = Math.max(0, bytes - TAIL_BYTES);
  const tail = await get(start, bytes);
  const trailer = Buffer.from(tail.subarray(Math.max(0, tail.length - TRAILER_BYTES)));
  const length = trailer.length < TRAILER_BYTES ? bytes : trailer.readUInt32LE(0) + TRAILER_BYTES;
  if (length >= bytes || trailer.toString('latin1', 4) !== 'PAR1')
    throw new SqlError(SqlState.dataCorrupted, `"${location}" does not end as a Parquet file of ${bytes} bytes does`);
  if (bytes - length >= start) return [[start, tail]];
  return [
    [bytes - length, await get(bytes - length, start)],
    [start, tail],
  ];
}

async function exactly(
  store: ObjectStore,
  location: string,
  start: number,
  end: number,
  version: ObjectVersion,
): Promise<Uint8Array> {
  const chunk = await store.get(location, start, end, version);
  if (chunk.length !== end - start)
    throw new SqlError(SqlState.ioError, `"${location}" has no bytes ${start} to ${end}: it is another file now`);
  return chunk;
}
