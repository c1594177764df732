/**
 * The WebAssembly memories of the process, and what of each is really there. V8 counts the whole of one as held, also what
 * was never touched: of the 128 MB of the SQL parser's that is all but one, of PGlite's three quarters.
 *
 * - Y1 Only Linux tells, by mappings: V8 reserves addresses behind each memory that nothing else has as many of, so that an
 *   index of 32 bits never leaves them. Elsewhere, or where V8 does otherwise, no memory is found.
 */
import { readFileSync } from 'node:fs';

export interface WasmMemory {
  readonly bytes: number;
  readonly residentBytes: number;
}

const GUARD_BYTES_MIN = 2 ** 32;
const MAPPING = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) /;

/** Walks all mappings of the process: some milliseconds. */
export function wasmMemories(): readonly WasmMemory[] {
  let text: string;
  try {
    text = readFileSync('/proc/self/smaps', 'latin1');
  } catch {
    return [];
  }
  const found: WasmMemory[] = [];
  let before = { end: 0, bytes: 0, resident: 0, writable: false };
  let current = before;
  for (const line of text.split('\n')) {
    if (line.startsWith('Rss:')) current.resident = Number.parseInt(line.slice(4)) * 1024;
    const mapping = MAPPING.exec(line);
    if (mapping === null) continue;
    before = current;
    const start = Number.parseInt(mapping[1]!, 16);
    const end = Number.parseInt(mapping[2]!, 16);
    current = { end, bytes: end - start, resident: 0, writable: mapping[3] === 'rw-p' };
    const isGuard = mapping[3] === '---p' && before.end === start && current.bytes >= GUARD_BYTES_MIN;
    if (isGuard && before.writable) found.push({ bytes: before.bytes, residentBytes: before.resident });
  }
  return found;
}
