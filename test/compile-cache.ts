/** Servers and threads that tests start are compiled once a version, not once a start: a start is half of the CPU of most such tests. */
import { join } from 'node:path';

export default function setup(): void {
  process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, '..', 'node_modules', '.cache', 'node');
}
