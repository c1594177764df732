/** Units for tests: a slab that vectors are laid out in, and rows as plain values. */
import type { DeleteRef, MemoryUnit } from '../../src/storage/scan-spec.ts';
import { SLAB_BYTES } from '../../src/storage/memory/slab.ts';
import { unknownDef, type ColumnDef, type PgType, type TableDef } from '../../src/table-def.ts';
import { columnVector, type ColumnVector } from '../../src/types/column-vector.ts';
import { physicalOf } from '../../src/types/pg-type.ts';

/** null; boolean; number (int32, floats); bigint (int64, unscaled numeric); string (text, uuid in hex, bytea in hex). */
export type Value = null | boolean | number | bigint | string;
export type Row = readonly Value[];

export function tableDef(types: readonly PgType[], more: Partial<TableDef> = {}): TableDef {
  const columns: ColumnDef[] = types.map((type, i) => ({
    name: `c${i}`,
    fieldId: i + 1,
    attnum: i + 1,
    type,
    notNull: false,
    default: null,
  }));
  return {
    ...unknownDef('00000000-0000-0000-0000-000000000001', 'public', 't'),
    oid: 20_000,
    columns,
    ...more,
  };
}

export function vectorOf(type: PgType, values: readonly Value[]): ColumnVector {
  const physical = physicalOf(type);
  const rows = values.length;
  const validity = values.includes(null) ? new Uint8Array((rows + 7) >> 3) : null;
  values.forEach((value, i) => {
    if (validity !== null && value !== null) validity[i >> 3]! |= 1 << (i & 7);
  });
  switch (physical) {
    case 'bool': {
      const bits = new Uint8Array((rows + 7) >> 3);
      values.forEach((value, i) => {
        if (value === true) bits[i >> 3]! |= 1 << (i & 7);
      });
      return columnVector(physical, { validity, bits });
    }
    case 'int32':
      return columnVector(physical, { validity, words: Int32Array.from(values, (value) => Number(value ?? 0)) });
    case 'float32':
      return columnVector(physical, { validity, float32: Float32Array.from(values, (value) => Number(value ?? 0)) });
    case 'float64':
      return columnVector(physical, { validity, float64: Float64Array.from(values, (value) => Number(value ?? 0)) });
    case 'int64': {
      const longs = BigInt64Array.from(values, (value) => (value ?? 0n) as bigint);
      return columnVector(physical, { validity, words: new Int32Array(longs.buffer) });
    }
    case 'int128': {
      const longs = new BigInt64Array(rows * 2);
      values.forEach((value, i) => {
        const wide = (value ?? 0n) as bigint;
        longs[i * 2] = BigInt.asIntN(64, wide);
        longs[i * 2 + 1] = wide >> 64n;
      });
      return columnVector(physical, { validity, words: new Int32Array(longs.buffer) });
    }
    case 'fixed16': {
      const bytes = new Uint8Array(rows * 16);
      values.forEach((value, i) => bytes.set(Buffer.from((value ?? '00'.repeat(16)) as string, 'hex'), i * 16));
      return columnVector(physical, { validity, words: new Int32Array(bytes.buffer) });
    }
    case 'bytes': {
      const texts = values.map((value) => Buffer.from((value ?? '') as string, type.oid === 17 ? 'hex' : 'utf8'));
      const offsets = new Int32Array(rows + 1);
      texts.forEach((text, i) => {
        offsets[i + 1] = offsets[i]! + text.length;
      });
      return columnVector(physical, {
        validity,
        heap: new Uint8Array(Buffer.concat(texts)),
        starts: offsets.subarray(0, rows),
        ends: offsets.subarray(1),
      });
    }
  }
}

/** The value of a vector's row, in the same plain form. */
export function valueAt(type: PgType, vector: ColumnVector, row: number): Value {
  if (vector.validity !== null && (vector.validity[row >> 3]! & (1 << (row & 7))) === 0) return null;
  const wide = (at: number, count: number): bigint => {
    let value = BigInt(vector.words[at + count - 1]!);
    for (let i = count - 2; i >= 0; i--) value = (value << 32n) | BigInt(vector.words[at + i]! >>> 0);
    return value;
  };
  switch (vector.physical) {
    case 'bool':
      return (vector.bits[row >> 3]! & (1 << (row & 7))) !== 0;
    case 'int32':
      return vector.words[row]!;
    case 'int64':
      return wide(row * 2, 2);
    case 'int128':
      return wide(row * 4, 4);
    case 'float32':
      return vector.float32[row]!;
    case 'float64':
      return vector.float64[row]!;
    case 'fixed16':
      return Buffer.from(vector.words.buffer, vector.words.byteOffset + row * 16, 16).toString('hex');
    case 'bytes':
      return Buffer.from(vector.heap.subarray(vector.starts[row], vector.ends[row])).toString(
        type.oid === 17 ? 'hex' : 'utf8',
      );
  }
}

/** Slabs filled from the front; nothing is ever freed. */
export class TestSlabs {
  readonly slabs: SharedArrayBuffer[] = [];
  readonly #announce: (slab: { index: number; buffer: SharedArrayBuffer }) => void;
  #used = SLAB_BYTES;

  constructor(announce: (slab: { index: number; buffer: SharedArrayBuffer }) => void) {
    this.#announce = announce;
  }

  put(bytes: Uint8Array): number {
    const room = Math.ceil(bytes.length / 64) * 64;
    if (this.#used + room > SLAB_BYTES) {
      const buffer = new SharedArrayBuffer(SLAB_BYTES);
      this.slabs.push(buffer);
      this.#announce({ index: this.slabs.length - 1, buffer });
      this.#used = 0;
    }
    const index = this.slabs.length - 1;
    new Uint8Array(this.slabs[index]!).set(bytes, this.#used);
    const address = index * SLAB_BYTES + this.#used;
    this.#used += room;
    return address;
  }

  array(array: Int32Array | Uint32Array | Float32Array | Float64Array | Uint8Array): number {
    return this.put(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }

  deletes(positions: readonly number[], cuts = 1): DeleteRef | null {
    if (positions.length === 0) return null;
    const size = Math.ceil(positions.length / cuts);
    const blocks = [];
    for (let i = 0; i < positions.length; i += size) {
      const part = positions.slice(i, i + size);
      blocks.push({ address: this.array(Uint32Array.from(part)), count: part.length });
    }
    return { count: positions.length, blocks };
  }

  /** A unit of batches, each of the given vectors (one a column, `rows` long). */
  unit(
    unit: number,
    fieldIds: readonly number[],
    batches: readonly { readonly rows: number; readonly vectors: readonly ColumnVector[] }[],
    deleted: readonly number[] = [],
  ): MemoryUnit {
    const shape: number[] = [];
    let rows = 0;
    for (const batch of batches) {
      shape.push(batch.rows);
      rows += batch.rows;
      for (const vector of batch.vectors) shape.push(...this.#column(vector));
    }
    return { unit, rows, shape: Float64Array.from(shape), deletes: this.deletes(deleted, 2), fieldIds };
  }

  #column(vector: ColumnVector): readonly [number, number, number, number] {
    const validity = vector.validity === null ? -1 : this.array(vector.validity);
    switch (vector.physical) {
      case 'bool':
        return [validity, this.array(vector.bits), -1, -1];
      case 'float32':
        return [validity, this.array(vector.float32), -1, -1];
      case 'float64':
        return [validity, this.array(vector.float64), -1, -1];
      case 'bytes': {
        const offsets = new Int32Array(vector.starts.length + 1);
        offsets.set(vector.ends, 1);
        return [validity, -1, this.array(offsets), this.array(vector.heap)];
      }
      default:
        return [validity, this.array(vector.words), -1, -1];
    }
  }
}
