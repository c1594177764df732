/**
 * Avro object container files over avsc: `Obj\x01`, metadata, a sync marker, then blocks of
 * `count | size | data | marker`. Written with deflate, read with null, deflate and zstandard.
 *
 * - Longs are bigint in both directions: stock avsc throws on the 63-bit snapshot ids of Java and PyIceberg.
 * - A file of ours has checksums in its metadata: deflate has none, and a changed byte may be another valid value. Each block's
 *   CRC-32, then that of the other metadata; other readers ignore both.
 * - Iceberg finds fields by `field-id`, and writers differ in names: what is read has the names of `manifest-schema.ts`.
 * @see https://avro.apache.org/docs/1.12.0/specification/#object-container-files
 */
import { randomBytes } from 'node:crypto';
import { crc32, deflateRawSync, inflateRawSync, zstdDecompressSync } from 'node:zlib';
import avro, { type Type } from 'avsc';
import { SqlError, SqlState, notSupported } from '../../errors.ts';

const BLOCK_RECORDS = 1000;
const MAGIC = Buffer.from('Obj\x01', 'latin1');

interface LongConstructor {
  __with(methods: object): Type;
}

const bigintLong = (avro.types.LongType as unknown as LongConstructor).__with({
  fromBuffer: (buffer: Buffer): bigint => buffer.readBigInt64LE(),
  toBuffer: (value: bigint): Buffer => {
    const buffer = Buffer.allocUnsafe(8);
    buffer.writeBigInt64LE(value);
    return buffer;
  },
  fromJSON: (value: number | string): bigint => BigInt(value),
  toJSON: (value: bigint): string => value.toString(),
  isValid: (value: unknown): boolean => typeof value === 'bigint',
  compare: (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0),
});

const isLong = (schema: unknown): boolean =>
  schema === 'long' ||
  (typeof schema === 'object' && schema !== null && (schema as { type?: unknown }).type === 'long');

/** Types by their schema: making one compiles code, a millisecond, and a table's manifests have few. The newest come last. */
const types = new Map<string, Type>();
const TYPES_MAX = 64;

function avroType(schema: object): Type {
  const key = JSON.stringify(schema);
  const type = types.get(key) ?? newType(schema);
  types.delete(key);
  types.set(key, type);
  if (types.size > TYPES_MAX) types.delete(types.keys().next().value!);
  return type;
}

function newType(schema: object): Type {
  return avro.Type.forSchema(
    schema as never,
    {
      // avsc knows no logical types here, so dates and decimals are their base types
      typeHook: ((inner: unknown) => (isLong(inner) ? bigintLong : undefined)) as never,
      wrapUnions: 'never',
    } as never,
  );
}

const headerType = avroType({
  type: 'record',
  name: 'Header',
  fields: [
    { name: 'magic', type: { type: 'fixed', name: 'Magic', size: 4 } },
    { name: 'meta', type: { type: 'map', values: 'bytes' } },
    { name: 'sync', type: { type: 'fixed', name: 'Sync', size: 16 } },
  ],
});

/** `schemaJson` is stored as given: it carries the attributes that avsc drops. */
export function encodeContainer(
  schemaJson: object,
  metadata: Readonly<Record<string, string>>,
  records: readonly unknown[],
): Uint8Array {
  const type = avroType(schemaJson);
  const sync = randomBytes(16);
  const meta: Record<string, Buffer> = {
    'avro.schema': Buffer.from(JSON.stringify(schemaJson)),
    'avro.codec': Buffer.from('deflate'),
  };
  for (const [key, value] of Object.entries(metadata)) meta[key] = Buffer.from(value);
  const parts: Uint8Array[] = [];
  const sums: number[] = [];
  for (let at = 0; at < records.length; at += BLOCK_RECORDS) {
    const block = records.slice(at, at + BLOCK_RECORDS).map((record) => type.toBuffer(record));
    const data = deflateRawSync(Buffer.concat(block));
    parts.push(varint(block.length), varint(data.length), data, sync);
    sums.push(crc32(data, block.length));
  }
  meta[BLOCK_SUMS] = Buffer.from(sums.map(String).join(','));
  meta[HEADER_SUM] = Buffer.from(String(headerSum(meta)));
  return Buffer.concat([headerType.toBuffer({ magic: MAGIC, meta, sync }), ...parts]);
}

const BLOCK_SUMS = 'arka.block-crc32';
const HEADER_SUM = 'arka.header-crc32';

function headerSum(meta: Readonly<Record<string, Buffer>>): number {
  let sum = 0;
  for (const key of Object.keys(meta).sort()) if (key !== HEADER_SUM) sum = crc32(meta[key]!, crc32(key, sum));
  return sum;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value * 2; // zigzag of a natural number
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Uint8Array.from([...bytes, rest]);
}

export interface Container {
  readonly metadata: Readonly<Record<string, string>>;
  readonly records: readonly Record<string, unknown>[];
}

/** @throws {SqlError} XX001 when the bytes are no whole container */
export function decodeContainer(bytes: Uint8Array, name: string, names: ReadonlyMap<number, string>): Container {
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), names);
  } catch (error) {
    if (error instanceof SqlError) throw error;
    throw new SqlError(SqlState.dataCorrupted, `Avro file "${name}" is damaged: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function decode(buffer: Buffer, names: ReadonlyMap<number, string>): Container {
  const header = headerType.decode(buffer, 0) as {
    value: { magic: Buffer; meta: Record<string, Buffer>; sync: Buffer };
    offset: number;
  };
  if (header.offset < 0 || !MAGIC.equals(header.value.magic)) throw new RangeError('no Avro header');
  const { meta } = header.value;
  const said = meta[HEADER_SUM];
  if (said !== undefined && said.toString() !== String(headerSum(meta)))
    throw new RangeError('wrong checksum at byte 0');
  const sums = meta[BLOCK_SUMS] === undefined ? null : meta[BLOCK_SUMS].toString().split(',');
  const metadata = Object.fromEntries(Object.entries(header.value.meta).map(([key, value]) => [key, value.toString()]));
  const type = avroType(canonical(JSON.parse(metadata['avro.schema'] ?? '{}'), names) as object);
  const inflate = decompressor(metadata['avro.codec'] ?? 'null');
  const records: Record<string, unknown>[] = [];
  let blocks = 0;
  for (let at = header.offset; at < buffer.length; blocks++) {
    const count = readVarint(buffer, at);
    const size = readVarint(buffer, count.next);
    const end = size.next + size.value;
    if (size.value < 0 || !header.value.sync.equals(buffer.subarray(end, end + 16)))
      throw new RangeError(`bad block at byte ${at}`);
    const stored = buffer.subarray(size.next, end);
    if (sums !== null && sums[blocks] !== String(crc32(stored, count.value)))
      throw new RangeError(`wrong checksum of the block at byte ${at}`);
    const data = inflate(stored);
    let offset = 0;
    for (let i = 0; i < count.value; i++) {
      const read = type.decode(data, offset) as { value: Record<string, unknown>; offset: number };
      if (read.offset < 0) throw new RangeError(`block at byte ${at} is cut short`);
      records.push(read.value);
      offset = read.offset;
    }
    at = end + 16;
  }
  if (sums !== null && blocks < sums.filter((sum) => sum !== '').length)
    throw new RangeError(`it ends at byte ${buffer.length}, after ${blocks} blocks`);
  return { metadata, records };
}

function readVarint(buffer: Buffer, start: number): { readonly value: number; readonly next: number } {
  let value = 0;
  for (let at = start, scale = 1; at < buffer.length; at++, scale *= 128) {
    const byte = buffer[at]!;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value: value % 2 === 0 ? value / 2 : -(value + 1) / 2, next: at + 1 };
  }
  throw new RangeError('a number is cut short');
}

function decompressor(codec: string): (data: Buffer) => Buffer {
  switch (codec) {
    case 'null':
      return (data) => data;
    case 'deflate':
      return (data) => inflateRawSync(data);
    case 'zstandard':
      return (data) => zstdDecompressSync(data);
    default:
      throw notSupported(`Avro codec ${codec}`);
  }
}

interface JsonField {
  readonly name: string;
  readonly type: unknown;
  readonly 'field-id'?: number;
}

/** The schema with fields named by their id: known ids get our names, partition fields `p` and the id. */
function canonical(schema: unknown, names: ReadonlyMap<number, string>): unknown {
  if (Array.isArray(schema)) return schema.map((branch) => canonical(branch, names));
  if (typeof schema !== 'object' || schema === null) return schema;
  const object = schema as {
    readonly type: unknown;
    readonly fields?: readonly JsonField[];
    readonly items?: unknown;
    readonly values?: unknown;
  };
  if (object.fields !== undefined) {
    const fields = object.fields.map((field) => {
      const id = field['field-id'];
      const name = id === undefined ? field.name : id >= 1000 ? `p${id}` : (names.get(id) ?? field.name);
      return { name, type: canonical(field.type, names) };
    });
    return { ...object, fields };
  }
  if (object.items !== undefined) return { ...object, items: canonical(object.items, names) };
  if (object.values !== undefined) return { ...object, values: canonical(object.values, names) };
  return object;
}
