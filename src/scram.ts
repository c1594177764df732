/**
 * SCRAM-SHA-256 verifiers (RFC 5802, 7677) in PostgreSQL's form: `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, all base64.
 *
 * - A1 What is kept of a password is its verifier: it proves a client's knowledge, and cannot be used as a client.
 * - A2 A name that nobody has gets a stand-in verifier with a salt that stays the same, and costs the same work.
 * - A3 Secrets are compared in constant time.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { saslprep } from './saslprep.ts';

const ITERATIONS = 4096;
const SALT_BYTES = 16;
export const KEY_BYTES = 32;

export interface Verifier {
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly storedKey: Uint8Array;
  readonly serverKey: Uint8Array;
}

export const hmac = (key: Uint8Array, ...parts: readonly (string | Uint8Array)[]): Buffer => {
  const made = createHmac('sha256', key);
  for (const part of parts) made.update(part);
  return made.digest();
};
export const sha256 = (...parts: readonly (string | Uint8Array)[]): Buffer => {
  const made = createHash('sha256');
  for (const part of parts) made.update(part);
  return made.digest();
};

const derive = promisify(pbkdf2);

/** The verifier of a password in clear text. */
export async function makeVerifier(password: string, salt: Uint8Array = randomBytes(SALT_BYTES)): Promise<Verifier> {
  const salted = await derive(saslprep(password), salt, ITERATIONS, KEY_BYTES, 'sha256');
  const storedKey = sha256(hmac(salted, 'Client Key'));
  return { iterations: ITERATIONS, salt, storedKey, serverKey: hmac(salted, 'Server Key') };
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

export const verifierText = ({ iterations, salt, storedKey, serverKey }: Verifier): string =>
  `SCRAM-SHA-256$${iterations}:${base64(salt)}$${base64(storedKey)}:${base64(serverKey)}`;

/** Null: the text is not a verifier, so it is a password. */
export function parseVerifier(text: string): Verifier | null {
  const match = /^SCRAM-SHA-256\$(\d{1,9}):([A-Za-z0-9+/]+=*)\$([A-Za-z0-9+/]{43}=):([A-Za-z0-9+/]{43}=)$/.exec(text);
  if (match === null || Number(match[1]) < 1) return null;
  const bytes = (i: number): Buffer => Buffer.from(match[i]!, 'base64');
  return { iterations: Number(match[1]), salt: bytes(2), storedKey: bytes(3), serverKey: bytes(4) };
}

/** A2: of a name that nobody has, or that has no password. @param secret this server's own, and lasting */
export function standInVerifier(user: string, secret: Uint8Array): Verifier {
  const salt = sha256(user, secret).subarray(0, SALT_BYTES);
  return { iterations: ITERATIONS, salt, storedKey: new Uint8Array(KEY_BYTES), serverKey: new Uint8Array(KEY_BYTES) };
}

/** A3 */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
