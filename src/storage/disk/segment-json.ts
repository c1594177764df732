/** A staged segment as JSON text in the flush manifest: bigint, bytes and special doubles are tagged. */
import type { Segment } from '../iceberg/lake-api.ts';

type Tagged = { readonly $int: string } | { readonly $hex: string } | { readonly $double: string };

export function encodeSegment(segment: Segment): string {
  return JSON.stringify(tag(segment));
}

export function decodeSegment(text: string): Segment {
  return untag(JSON.parse(text)) as Segment;
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
