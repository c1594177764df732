/**
 * A delta file: the delete entries of one unit from one flush. Immutable, named by its LSN range, little-endian:
 *
 *   0 magic `ARKADEL1` | 8 count u32 | 12 CRC-32 u32 | 16 lsnFrom f64 | 24 lsnTo f64 |
 *   32 positions u32 × count | zeros to a multiple of 8 | LSNs f64 × count
 *
 * The CRC covers the whole file with its own four bytes as zeros.
 */
import { crc32 } from 'node:zlib';
import { invariant, SqlError, SqlState } from '../../errors.ts';
import type { Delta } from '../iceberg/lake-api.ts';

const MAGIC = 'ARKADEL1';
const HEADER_BYTES = 32;

export type DeltaContent = Pick<Delta, 'lsnFrom' | 'lsnTo' | 'positions' | 'lsns'>;

function lsnsAt(count: number): number {
  return Math.ceil((HEADER_BYTES + count * 4) / 8) * 8;
}

export function deltaFileName(delta: Pick<Delta, 'lsnFrom' | 'lsnTo'>, suffix: string): string {
  return `delta-${delta.lsnFrom}-${delta.lsnTo}-${suffix}.delta`;
}

export function encodeDelta(delta: DeltaContent): Uint8Array {
  const count = delta.positions.length;
  invariant(delta.lsns.length === count, 'a delta has one LSN a position');
  const bytes = Buffer.alloc(lsnsAt(count) + count * 8);
  bytes.write(MAGIC, 'latin1');
  bytes.writeUInt32LE(count, 8);
  bytes.writeDoubleLE(delta.lsnFrom, 16);
  bytes.writeDoubleLE(delta.lsnTo, 24);
  for (let i = 0; i < count; i++) bytes.writeUInt32LE(delta.positions[i]!, HEADER_BYTES + i * 4);
  for (let i = 0, at = lsnsAt(count); i < count; i++) bytes.writeDoubleLE(delta.lsns[i]!, at + i * 8);
  bytes.writeUInt32LE(crc32(bytes), 12);
  return bytes;
}

/** @throws {SqlError} XX001 when the bytes are not a whole delta file */
export function decodeDelta(data: Uint8Array, name: string): DeltaContent {
  const bytes = Buffer.from(data); // a copy: the CRC field is cleared in it
  const damaged = (): SqlError => new SqlError(SqlState.dataCorrupted, `delta file "${name}" is damaged`);
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC) throw damaged();
  const count = bytes.readUInt32LE(8);
  const crc = bytes.readUInt32LE(12);
  bytes.writeUInt32LE(0, 12);
  if (bytes.length !== lsnsAt(count) + count * 8 || crc32(bytes) !== crc) throw damaged();
  const positions = new Uint32Array(count);
  const lsns = new Float64Array(count);
  for (let i = 0; i < count; i++) positions[i] = bytes.readUInt32LE(HEADER_BYTES + i * 4);
  for (let i = 0, at = lsnsAt(count); i < count; i++) lsns[i] = bytes.readDoubleLE(at + i * 8);
  return { lsnFrom: bytes.readDoubleLE(16), lsnTo: bytes.readDoubleLE(24), positions, lsns };
}
