/**
 * Murmur3, x86, 32 bits, seed 0: the hash of Iceberg's bucket transform (specification, appendix B).
 * @see https://iceberg.apache.org/spec/#appendix-b-32-bit-hash-requirements
 */
const C1 = 0xcc9e2d51;
const C2 = 0x1b873593;

function mixKey(k: number): number {
  const m = Math.imul(k, C1);
  return Math.imul((m << 15) | (m >>> 17), C2);
}

function mixHash(h: number, k: number): number {
  const m = h ^ mixKey(k);
  return (Math.imul((m << 13) | (m >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(h: number, length: number): number {
  let m = h ^ length;
  m = Math.imul(m ^ (m >>> 16), 0x85ebca6b);
  m = Math.imul(m ^ (m >>> 13), 0xc2b2ae35);
  return (m ^ (m >>> 16)) | 0;
}

/** The hash of bytes[start, end), as a signed 32-bit integer. */
export function murmur3(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = end - start;
  const blocksEnd = start + (length & ~3);
  let h = 0;
  let i = start;
  for (; i < blocksEnd; i += 4) {
    h = mixHash(h, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
  }
  let tail = 0;
  for (let shift = 0; i < end; i++, shift += 8) tail |= bytes[i]! << shift;
  return finish((length & 3) === 0 ? h : h ^ mixKey(tail), length);
}

/** The hash of a long given as two words: Iceberg hashes int, date and time as longs, too. */
export function murmur3Long(low: number, high: number): number {
  return finish(mixHash(mixHash(0, low), high), 8);
}
