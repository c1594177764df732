/**
 * The manifest of a table's runs: one line of checksum, then JSON; replaced by rename after fsync. And the secret that hashes
 * of keys are made with, beside the tables' folders: without it hashed runs are worthless.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { DamagedRun } from './run-format.ts';

const NAME = 'manifest';
const SECRET_BYTES = 32;

export interface Manifest {
  readonly version: 1;
  /** See table-index.ts: runs of other keys or another secret are not these. */
  readonly fingerprint: string;
  readonly runs: readonly string[];
}

export async function writeManifest(dir: string, manifest: Manifest): Promise<void> {
  const json = JSON.stringify(manifest);
  await writeDurably(join(dir, NAME), `${checksum(json)}\n${json}\n`);
}

/** Null: there is none. @throws {DamagedRun} */
export async function readManifest(dir: string): Promise<Manifest | null> {
  const path = join(dir, NAME);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  const [sum, json, rest] = text.split('\n');
  if (json === undefined || rest !== '' || sum !== checksum(json))
    throw new DamagedRun(path, 0, 'a manifest with a wrong checksum');
  return JSON.parse(json) as Manifest;
}

/** Removes what no manifest names. */
export async function sweepRuns(dir: string, runs: readonly string[]): Promise<void> {
  const kept = new Set([NAME, ...runs.map(runFile)]);
  for (const name of await readdir(dir))
    if (!kept.has(name)) await rm(join(dir, name), { recursive: true, force: true });
}

export function runFile(id: string): string {
  return `${id}.run`;
}

/** The folder's secret; a new one where there is none, or where it is damaged. */
export async function readSecret(dir: string): Promise<Uint8Array> {
  const path = join(dir, 'secret');
  const bytes = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return new Uint8Array(0);
    throw error;
  });
  const secret = bytes.subarray(0, SECRET_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === SECRET_BYTES + 4 && view.getUint32(SECRET_BYTES, true) === crc32(secret))
    return Uint8Array.from(secret);
  const made = randomBytes(SECRET_BYTES + 4);
  made.writeUInt32LE(crc32(made.subarray(0, SECRET_BYTES)), SECRET_BYTES);
  await writeDurably(path, made);
  return Uint8Array.from(made.subarray(0, SECRET_BYTES));
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}

async function writeDurably(path: string, data: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(`${path}.tmp`, 'w', 0o600);
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.tmp`, path);
  await syncFolder(dirname(path));
}

export async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
