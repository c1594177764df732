/**
 * A staged segment as text in the flush manifest: CRC-32 of all that follows, the checksum of its file, JSON in which bigint, bytes
 * and special doubles are tagged. Manifests of the first versions have the JSON alone.
 */
import { crc32 } from 'node:zlib';
import { SqlError, SqlState } from '../../errors.ts';
import type { Segment } from '../iceberg/lake-api.ts';

type Tagged = { readonly $int: string } | { readonly $hex: string } | { readonly $double: string };

const SUM_CHARS = 8;

/** One checksum of a file's, by blocks. */
export function sumOf(blocks: Uint32Array): number {
  return crc32(new Uint8Array(blocks.buffer, blocks.byteOffset, blocks.byteLength));
}

export function sealSegment(segment: Segment, sum: number): string {
  const text = hex(sum) + JSON.stringify(tag(segment));
  return hex(crc32(text)) + text;
}

/** @param path for the message; `sum` is null where none is known. @throws {SqlError} XX001 */
export function unsealSegment(
  sealed: string,
  path: string,
): { readonly segment: Segment; readonly sum: number | null } {
  if (sealed.startsWith('{')) return { segment: untag(JSON.parse(sealed)) as Segment, sum: null };
  const text = sealed.slice(SUM_CHARS);
  if (hex(crc32(text)) !== sealed.slice(0, SUM_CHARS))
    throw new SqlError(SqlState.dataCorrupted, `what the flush manifest says of "${path}" is damaged`);
  return {
    segment: untag(JSON.parse(text.slice(SUM_CHARS))) as Segment,
    sum: Number.parseInt(text.slice(0, SUM_CHARS), 16),
  };
}

function hex(sum: number): string {
  return sum.toString(16).padStart(SUM_CHARS, '0');
}

function tag(value: unknown): unknown {
  if (typeof value === 'bigint') return { $int: value.toString() };
  if (typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)))
    return { $double: Object.is(value, -0) ? '-0' : String(value) };
  if (value instanceof Uint8Array)
    return { $hex: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex') };
  if (Array.isArray(value)) return value.map(tag);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, tag(inner)]));
}

function untag(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untag);
  if (typeof value !== 'object' || value === null) return value;
  const tagged = value as Partial<Record<'$int' | '$hex' | '$double', string>> & (Tagged | object);
  if (tagged.$int !== undefined) return BigInt(tagged.$int);
  if (tagged.$double !== undefined) return Number(tagged.$double);
  if (tagged.$hex !== undefined) return Uint8Array.from(Buffer.from(tagged.$hex, 'hex'));
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, untag(inner)]));
}
