#!/usr/bin/env node
/**
 * The `arka` command. Only what must come before all else is here: an older Node gets one line and not a parse error
 * or a missing module (so nothing newer than Node 20 is imported before the check), the size of libuv's thread pool is
 * set before its first use, for log and object store wait on files in it, and the process takes the memory it is meant to.
 *
 * - M1 What bounds memory before the first line of code runs are flags and an environment variable, so `serve` replaces
 *   its own process (same pid, same streams) by one that has them; where that cannot be done, it goes on without.
 * - M2 Main's heap ends at half of memory.limit: the other half is the least that all else takes. A bound makes V8 collect
 *   sooner, too; without one it goes by the memory of the machine.
 */
const NODE_MAJOR_MIN = 24;

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  process.stderr.write(`arka: needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.version}\n`);
  process.exit(1);
}

/**
 * V8 optimizes WebAssembly function by function, and the grammar is one function of 100 KB: in the SQL parser and in
 * PGlite alike it takes 500 MB for a second, for 4 µs a statement. New objects get 3 × 8 MB a thread instead of 3 × 16.
 */
const FLAGS = ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering', '--max-semi-space-size=8'];
/** glibc's heaps: one per thread and core keeps what each had at its peak (200 MB of DuckDB's), two are as fast. */
const ARENAS_MAX = '2';
/**
 * Larger blocks are mappings of their own, which are gone from the process as soon as they are free. By itself malloc takes
 * ever larger ones from its heaps (up to 32 MB), between what lives longer: 20 to 50 MB more, at the same cost.
 */
const HEAP_BLOCK_BYTES_MAX = String(256 * 1024);

const HEAP_SHARE = 0.5;
const MB = 2 ** 20;

const needed = process.argv.includes('serve') && process.platform !== 'win32' && !process.execArgv.includes(FLAGS[0]!);
if (needed && typeof process.execve === 'function') {
  const { memoryLimitOf } = await import('./cli.ts');
  const limit = memoryLimitOf(process.argv.slice(2));
  const heap = limit === null ? [] : [`--max-old-space-size=${Math.floor((limit * HEAP_SHARE) / MB)}`];
  const args = [process.argv0, ...FLAGS, ...heap, ...process.execArgv, ...process.argv.slice(1)];
  const malloc = { MALLOC_ARENA_MAX: ARENAS_MAX, MALLOC_MMAP_THRESHOLD_: HEAP_BLOCK_BYTES_MAX };
  process.execve(process.execPath, args, { ...malloc, ...process.env });
}
process.env['UV_THREADPOOL_SIZE'] ??= '16';
const { main } = await import('./cli.ts');
process.exit(await main(process.argv.slice(2)));
