/**
 * Iceberg's single-value serialization (specification, appendix D): bounds of columns and partition summaries.
 * Integers and floats little-endian, decimals unscaled big-endian in the fewest bytes, uuid 16 bytes big-endian.
 * Text bounds are cut to 16 code points: the lower one as it is, the upper one rounded up.
 * @see https://iceberg.apache.org/spec/#appendix-d-single-value-serialization
 */
import { InvariantViolation } from '../../errors.ts';
import type { PgType } from '../../table-def.ts';
import { icebergType } from '../../types/pg-type.ts';
import type { PartitionValue } from './lake-api.ts';
import { codePointsEnd, decimalBytes } from './transforms.ts';

export const BOUND_CODE_POINTS = 16;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes of a value of an Iceberg primitive type. */
export function encodeBound(type: string, value: NonNullable<PartitionValue>): Uint8Array {
  switch (type) {
    case 'boolean':
      return Uint8Array.of(value === true || value === 1 ? 1 : 0);
    case 'int':
    case 'date':
      return fixed(4, (view) => view.setInt32(0, Number(value), true));
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return fixed(8, (view) => view.setBigInt64(0, BigInt(value as bigint), true));
    case 'float':
      return fixed(4, (view) => view.setFloat32(0, Number(value), true));
    case 'double':
      return fixed(8, (view) => view.setFloat64(0, Number(value), true));
    case 'string':
      return encoder.encode(value as string);
    default:
      if (type.startsWith('decimal')) return decimalBytes(BigInt(value as bigint));
      if (value instanceof Uint8Array) return value;
      throw new InvariantViolation(`no single-value form of ${typeof value} for ${type}`);
  }
}

function fixed(length: number, write: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  write(new DataView(bytes.buffer));
  return bytes;
}

/** The value of an Iceberg primitive type, as a `PartitionValue`. */
export function decodeValue(type: string, bytes: Uint8Array): NonNullable<PartitionValue> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (type) {
    case 'boolean':
      return bytes[0] !== 0;
    case 'int':
    case 'date':
      return view.getInt32(0, true);
    // A file written before int became long still has four bytes (specification, schema evolution).
    case 'long':
    case 'time':
    case 'timestamp':
    case 'timestamptz':
      return bytes.length === 4 ? BigInt(view.getInt32(0, true)) : view.getBigInt64(0, true);
    case 'float':
      return view.getFloat32(0, true);
    case 'double':
      return bytes.length === 4 ? view.getFloat32(0, true) : view.getFloat64(0, true);
    case 'string':
      return decoder.decode(bytes);
    default:
      return type.startsWith('decimal') ? decodeDecimal(bytes) : bytes;
  }
}

function decodeDecimal(bytes: Uint8Array): bigint {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  return BigInt.asIntN(bytes.length * 8, value);
}

/**
 * A bound for pruning. boolean, int, date and floats: number (false is 0). long, time and timestamps: number while
 * exact, else bigint. decimal: the unscaled bigint. uuid and binary: lower-case hex, which sorts as the bytes do.
 */
export function decodeBound(type: PgType, bytes: Uint8Array): number | string | bigint {
  const value = decodeValue(icebergType(type), bytes);
  if (typeof value === 'boolean') return value ? 1 : 0;
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
  if (typeof value !== 'bigint' || icebergType(type).startsWith('decimal')) return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The lower bound of a text column from its smallest value. */
export function lowerTextBound(utf8: Uint8Array): Uint8Array {
  return utf8.slice(0, codePointsEnd(utf8, 0, utf8.length, BOUND_CODE_POINTS));
}

/** The upper bound of a text column from its largest value: cut and rounded up; null when nothing is above it. */
export function upperTextBound(utf8: Uint8Array): Uint8Array | null {
  const end = codePointsEnd(utf8, 0, utf8.length, BOUND_CODE_POINTS);
  if (end === utf8.length) return utf8.slice();
  const points = Array.from(decoder.decode(utf8.subarray(0, end)), (char) => char.codePointAt(0)!);
  for (let i = points.length - 1; i >= 0; i--) {
    const next = points[i]! === 0xd7ff ? 0xe000 : points[i]! + 1; // surrogates are no code points of UTF-8
    if (next <= 0x10ffff) return encoder.encode(String.fromCodePoint(...points.slice(0, i), next));
  }
  return null;
}

/** Bounds of a binary column, cut to 16 bytes in the same way. */
export function lowerBinaryBound(bytes: Uint8Array): Uint8Array {
  return bytes.slice(0, BOUND_CODE_POINTS);
}

export function upperBinaryBound(bytes: Uint8Array): Uint8Array | null {
  if (bytes.length <= BOUND_CODE_POINTS) return bytes.slice();
  for (let i = BOUND_CODE_POINTS - 1; i >= 0; i--) {
    if (bytes[i] === 0xff) continue;
    const bound = bytes.slice(0, i + 1);
    bound[i]!++;
    return bound;
  }
  return null;
}
