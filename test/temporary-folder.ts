/** Temporary files of a run of tests lie in one folder, which goes with it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'arka-tests-'));
  process.env['TMPDIR'] = folder; // workers and the servers that tests start inherit it
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
