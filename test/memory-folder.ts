/**
 * `npm test` puts its temporary files into memory where the system has plenty of it (Linux: /dev/shm): what the tests are about is
 * the order of writes and syncs, not the time that a disk takes for them, and a busy disk doubled the time of a run. A TMPDIR that is
 * set already is left alone: `TMPDIR=/tmp npm test` is the same on a disk. Outside clients and engines (test/compat/) stay on the disk.
 */
import { statfsSync } from 'node:fs';
import { freemem } from 'node:os';

const FOLDER = '/dev/shm';
/** A run takes about 1 GB at its peak. */
const FREE_BYTES_MIN = 6 * 2 ** 30;

export default function setup(): void {
  if (process.platform !== 'linux' || process.env['TMPDIR'] !== undefined) return;
  try {
    const { bavail, bsize } = statfsSync(FOLDER);
    if (Math.min(bavail * bsize, freemem()) >= FREE_BYTES_MIN) process.env['TMPDIR'] = FOLDER;
  } catch {
    // there is none: the files are on the disk
  }
}
