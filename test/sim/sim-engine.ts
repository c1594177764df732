/**
 * The engine's part of storage without DuckDB: the same functions over files of JSON on the simulated disk, for tables of
 * (id bigint, v int, name text). A file has a checksum, so a torn one is an error and never other rows; it begins and ends as
 * Parquet does, which is how copies in the cache are known.
 */
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { DeleteRef, FileUnit, MemoryUnit } from '../../src/storage/scan-spec.ts';
import type { SlabDirectory } from '../../src/storage/memory/slab.ts';
import type {
  LookupRequest,
  LookupResult,
  PositionDeletes,
  RowsRead,
  RowsRequest,
  UnitEngine,
  EqualityRequest,
  WriteParquetRequest,
  WrittenFile,
} from '../../src/storage/unit-engine.ts';
import { ioError } from '../../src/storage/iceberg/local-store.ts';
import { integerAt } from '../../src/storage/memory/slice.ts';
import { isValid, type ColumnVector } from '../../src/types/column-vector.ts';
import { VectorBuilder } from '../../src/types/vector-builder.ts';
import { fsError, PowerGone, type SimFs } from './sim-fs.ts';

export type Row = readonly [id: number, v: number | null, name: string | null];
export interface Positions {
  readonly location: string;
  readonly positions: readonly number[];
}

const parsed = new WeakMap<Uint8Array, unknown>();

const MAGIC = Buffer.from('PAR1');
const HEAD_BYTES = 8;
const TAIL_BYTES = 8;

export function encodeFile(content: object): Uint8Array {
  const body = Buffer.from(JSON.stringify(content));
  const [sum, length] = [Buffer.alloc(4), Buffer.alloc(4)];
  sum.writeUInt32LE(crc32(body));
  length.writeUInt32LE(body.length);
  return Buffer.concat([MAGIC, sum, body, length, MAGIC]);
}

/** @param name for the error when it is not whole */
export function decodeFile(
  bytes: Uint8Array,
  name: string,
): { readonly rows: readonly Row[]; readonly deletes: readonly Positions[] } {
  let content = parsed.get(bytes);
  if (content === undefined) {
    const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const body = file.subarray(HEAD_BYTES, -TAIL_BYTES);
    const whole = file.length >= HEAD_BYTES + TAIL_BYTES && file.readUInt32LE(file.length - TAIL_BYTES) === body.length;
    if (!whole || file.readUInt32LE(MAGIC.length) !== crc32(body)) throw new Error(`file "${name}" is damaged`);
    content = JSON.parse(body.toString());
    parsed.set(bytes, content);
  }
  return content as ReturnType<typeof decodeFile>;
}

export const rowsOfFile = (disk: SimFs, path: string): readonly Row[] => decodeFile(disk.get(path).bytes, path).rows;
const positionsOfFile = (disk: SimFs, path: string): readonly Positions[] =>
  decodeFile(disk.reading(path).bytes, path).deletes;
/** As the engine reads them. */
const readRowsOf = (disk: SimFs, path: string): readonly Row[] => decodeFile(disk.reading(path).bytes, path).rows;

const isSet = (bits: Uint8Array, row: number): boolean => (bits[row >> 3]! & (1 << (row & 7))) !== 0;

/** All rows of a memory unit, dead ones too, in order. */
export function rowsOfMemory(slabs: SlabDirectory, unit: MemoryUnit): Row[] {
  const out: Row[] = [];
  const { shape } = unit;
  for (let at = 0; at < shape.length; at += 13) {
    const count = shape[at]!;
    const place = (column: number, part: number): number => shape[at + 1 + column * 4 + part]!;
    const valid = (column: number, row: number): boolean =>
      place(column, 0) < 0 || isSet(slabs.bytes(place(column, 0), (count + 7) >> 3), row);
    const ids = slabs.words(place(0, 1), count * 2);
    const values = slabs.words(place(1, 1), count);
    const offsets = slabs.words(place(2, 2), count + 1);
    const heap = place(2, 3) < 0 ? null : slabs.bytes(place(2, 3), offsets[count]!);
    for (let row = 0; row < count; row++) {
      const text = heap === null ? '' : Buffer.from(heap.slice(offsets[row], offsets[row + 1])).toString();
      out.push([ids[row * 2]!, valid(1, row) ? values[row]! : null, valid(2, row) ? text : null]);
    }
  }
  return out;
}

/** A row of vectors of all columns. */
export function rowOfVectors([ids, values, names]: readonly ColumnVector[], row: number): Row {
  const text = (): string => Buffer.from(names!.heap.slice(names!.starts[row], names!.ends[row])).toString();
  return [
    integerAt(ids!, row),
    isValid(values!, row) ? values!.words[row]! : null,
    isValid(names!, row) ? text() : null,
  ];
}

export function deletedOf(slabs: SlabDirectory, deletes: DeleteRef | null): Set<number> {
  const out = new Set<number>();
  for (const { address, count } of deletes?.blocks ?? [])
    for (const position of slabs.words(address, count)) out.add(position);
  return out;
}

interface Placed {
  readonly unit: number;
  readonly position: number;
  readonly row: Row;
}

/** What the world gives the engine, and may make it do. */
export interface EngineWorld {
  readonly fs: SimFs;
  turn(what: string): Promise<void>;
  /** Throws to make a call fail. */
  engineFault(): void;
}

function int64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes;
}

export function boundsOf(rows: readonly Row[]): WrittenFile['columns'] {
  const ids = rows.map(([id]) => id);
  const bounds = { lower: int64(Math.min(...ids)), upper: int64(Math.max(...ids)) };
  return [{ fieldId: 1, columnBytes: 8, valueCount: rows.length, nullCount: 0, nanCount: null, ...bounds }];
}

export class SimEngine implements UnitEngine {
  readonly #world: EngineWorld;
  readonly #slabs: SlabDirectory;

  constructor(world: EngineWorld, slabs: SlabDirectory) {
    this.#world = world;
    this.#slabs = slabs;
  }

  async #act<T>(work: (disk: SimFs) => Promise<T> | T): Promise<T> {
    const { fs } = this.#world;
    await this.#world.turn('the engine');
    if (fs.crashed || this.#world.fs !== fs) return new Promise<never>(() => {});
    try {
      this.#world.engineFault();
      return await work(fs);
    } catch (error) {
      if (error instanceof PowerGone) return new Promise<never>(() => {});
      throw ioError(error, 'a data file');
    }
  }

  /** Written, synced, its folder synced, as the engine promises (C10); each with a turn of its own. */
  async #write(disk: SimFs, path: string, content: object): Promise<number> {
    const bytes = encodeFile(content);
    const file = disk.truncate(path);
    for (let at = 0; at < bytes.length; at += 1024) disk.write(path, file, [bytes.subarray(at, at + 1024)], at);
    await this.#world.turn('the engine');
    if (disk.crashed) return new Promise<never>(() => {});
    disk.sync(path, file);
    disk.sync(dirname(path), disk.get(dirname(path)));
    return bytes.length;
  }

  #live(disk: SimFs, request: WriteParquetRequest): Placed[] {
    const out: Placed[] = [];
    const add = (unit: MemoryUnit | FileUnit, rows: readonly Row[]): void => {
      const dead = deletedOf(this.#slabs, unit.deletes);
      const picks = 'picks' in unit && unit.picks !== undefined ? new Set(unit.picks) : null;
      rows.slice(0, unit.rows).forEach((row, position) => {
        if (!dead.has(position) && picks?.has(position) !== false) out.push({ unit: unit.unit, position, row });
      });
    };
    for (const unit of request.memory) add(unit, rowsOfMemory(this.#slabs, unit));
    for (const unit of request.files) add(unit, readRowsOf(disk, unit.path));
    // by id where there is a sort order, so that positions change on the way; then by unit and position (H16)
    const sorted = request.def.sort.length > 0;
    return out.sort((a, b) => (sorted ? a.row[0] - b.row[0] : 0) || a.unit - b.unit || a.position - b.position);
  }

  writeParquet = (request: WriteParquetRequest): Promise<WrittenFile | null> =>
    this.#act(async (disk) => {
      const rows = this.#live(disk, request).map((placed) => placed.row);
      if (rows.length === 0) return null;
      const bytes = await this.#write(disk, request.path, { rows });
      return { path: request.path, rows: rows.length, bytes, columns: boundsOf(rows) };
    });

  newPositions = (request: WriteParquetRequest): Promise<{ units: Int32Array; positions: Uint32Array }> =>
    this.#act((disk) => {
      const placed = this.#live(disk, request);
      return {
        units: Int32Array.from(placed, (each) => each.unit),
        positions: Uint32Array.from(placed, (each) => each.position),
      };
    });

  writePositionDeletes = (request: { path: string; deletes: readonly PositionDeletes[] }): Promise<WrittenFile> =>
    this.#act(async (disk) => {
      const deletes = request.deletes.map(({ location, positions }) => ({
        location,
        positions: [...positions].sort((a, b) => a - b),
      }));
      const bytes = await this.#write(disk, request.path, { deletes });
      const rows = deletes.reduce((sum, { positions }) => sum + positions.length, 0);
      return { path: request.path, rows, bytes, columns: [] };
    });

  readPositionDeletes = (paths: readonly string[]): Promise<readonly PositionDeletes[]> =>
    this.#act((disk) => {
      const lists = new Map<string, Set<number>>();
      for (const path of paths) {
        if (!disk.names.has(path)) throw fsError('ENOENT', path);
        for (const { location, positions } of positionsOfFile(disk, path)) {
          const list = lists.get(location) ?? new Set();
          positions.forEach((position) => list.add(position));
          lists.set(location, list);
        }
      }
      return [...lists].map(([location, positions]) => ({
        location,
        positions: Uint32Array.from([...positions].sort((a, b) => a - b)),
      }));
    });

  equalityPositions = (request: EqualityRequest): Promise<ReadonlyMap<number, Uint32Array>> =>
    this.#act((disk) => {
      const values = (row: Row): string => JSON.stringify(request.fieldIds.map((fieldId) => row[fieldId - 1]));
      const newest = new Map<string, number>();
      for (const { path, sequence } of request.deleteFiles)
        for (const row of readRowsOf(disk, path))
          newest.set(values(row), Math.max(sequence, newest.get(values(row)) ?? 0));
      return new Map(
        request.files.flatMap(({ unit, path, sequence }) => {
          const rows = readRowsOf(disk, path);
          const dead = [...rows.keys()].filter((at) => (newest.get(values(rows[at]!)) ?? 0) > sequence);
          return dead.length === 0 ? [] : [[unit, Uint32Array.from(dead)] as const];
        }),
      );
    });

  lookup = (request: LookupRequest): Promise<LookupResult> =>
    this.#act((disk) =>
      request.def.key[0] === 1
        ? this.#find(
            disk,
            request,
            ([id]) => String(id),
            (row) => String(request.keys[0]!.words[row * 2]!),
          )
        : this.#find(
            disk,
            request,
            ([, v]) => String(v),
            (row) => String(request.keys[0]!.words[row]!),
          ),
    );

  lookupImages = (request: LookupRequest): Promise<LookupResult> =>
    this.#act((disk) => {
      const [ids, values, names] = request.keys;
      const valid = (bits: Uint8Array | null, row: number): boolean => bits === null || isSet(bits, row);
      const image = (row: number): string => {
        const name = Buffer.from(names!.heap.subarray(names!.starts[row], names!.ends[row])).toString();
        const v = valid(values!.validity, row) ? values!.words[row]! : null;
        return JSON.stringify([ids!.words[row * 2]!, v, valid(names!.validity, row) ? name : null]);
      };
      return this.#find(disk, request, (row) => JSON.stringify(row), image);
    });

  readRows = (request: RowsRequest): Promise<readonly RowsRead[]> =>
    this.#act((disk) => {
      const rows = readRowsOf(disk, request.file.path);
      const read = [...request.positions].map((position) => rows[position]!);
      const all = vectorsOf(read);
      const vectors = request.fieldIds.map((fieldId) => all[fieldId - 1]!);
      return [{ positions: request.positions, vectors, rows: read.length }];
    });

  #find(
    disk: SimFs,
    request: LookupRequest,
    nameOf: (row: Row) => string,
    wantedAt: (row: number) => string,
  ): LookupResult {
    const wanted = new Map<string, number[]>();
    for (let row = 0; row < request.rows; row++) {
      const name = wantedAt(row);
      wanted.set(name, [...(wanted.get(name) ?? []), row]);
    }
    const found: [row: number, unit: number, position: number][] = [];
    for (const file of request.files)
      readRowsOf(disk, file.path).forEach((each, position) => {
        for (const row of wanted.get(nameOf(each)) ?? []) found.push([row, file.unit, position]);
      });
    return {
      rows: Int32Array.from(found, ([row]) => row),
      units: Int32Array.from(found, ([, unit]) => unit),
      positions: Uint32Array.from(found, ([, , position]) => position),
    };
  }
}

/** Rows as one vector a column. */
export function vectorsOf(rows: readonly Row[]): ColumnVector[] {
  const builders = [new VectorBuilder('int64'), new VectorBuilder('int32'), new VectorBuilder('bytes')] as const;
  for (const [id, v, name] of rows) {
    builders[0].int64(id, 0);
    if (v === null) builders[1].null();
    else builders[1].int32(v);
    const bytes = Buffer.from(name ?? '');
    if (name === null) builders[2].null();
    else builders[2].bytes(bytes, 0, bytes.length);
  }
  return builders.map((builder) => builder.vector());
}

export function idVector(ids: readonly number[]): ColumnVector {
  const builder = new VectorBuilder('int64');
  for (const id of ids) builder.int64(id, 0);
  return builder.vector();
}
