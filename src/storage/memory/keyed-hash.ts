/**
 * A keyed hash of bytes to 128 bits, for keys that are not themselves (C12): HalfSipHash-2-4, its whole 128-bit state set from a
 * 128-bit secret, squeezed for four words. Collisions cannot be prepared without the secret, as they can for hashes
 * that merely start from a seed: MurmurHash3 has pairs that collide under every seed.
 * @see https://github.com/veorq/SipHash (halfsiphash.c)
 */
import { createHmac } from 'node:crypto';

export type HashSecret = Int32Array;

/** A table's own secret out of the database's. */
export function tableSecret(secret: Uint8Array, tableUuid: string): HashSecret {
  const digest = createHmac('sha256', secret).update(tableUuid).digest();
  return Int32Array.from([0, 4, 8, 12], (at) => digest.readInt32LE(at));
}

const rotl = (x: number, r: number): number => (x << r) | (x >>> (32 - r));

let v0 = 0;
let v1 = 0;
let v2 = 0;
let v3 = 0;

function rounds(count: number): void {
  let a = v0;
  let b = v1;
  let c = v2;
  let d = v3;
  for (let i = 0; i < count; i++) {
    a = (a + b) | 0;
    b = rotl(b, 5) ^ a;
    a = rotl(a, 16);
    c = (c + d) | 0;
    d = rotl(d, 8) ^ c;
    a = (a + d) | 0;
    d = rotl(d, 7) ^ a;
    c = (c + b) | 0;
    b = rotl(b, 13) ^ c;
    c = rotl(c, 16);
  }
  v0 = a;
  v1 = b;
  v2 = c;
  v3 = d;
}

/** The hash of bytes [0, length) of `view`. */
export function keyedHash(view: DataView, length: number, secret: HashSecret, out: Int32Array): void {
  v0 = secret[0]!;
  v1 = secret[1]!;
  v2 = secret[2]! ^ 0x6c796765;
  v3 = secret[3]! ^ 0x74656462;
  const whole = length & ~3;
  for (let at = 0; at < whole; at += 4) {
    const word = view.getInt32(at, true);
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  let last = length << 24;
  for (let at = whole; at < length; at++) last |= view.getUint8(at) << ((at - whole) * 8);
  v3 ^= last;
  rounds(2);
  v0 ^= last;
  v2 ^= 0xee;
  rounds(4);
  out[0] = v1 ^ v3;
  v1 ^= 0xdd;
  for (let i = 1; i < 4; i++) {
    rounds(4);
    out[i] = v1 ^ v3;
  }
}
