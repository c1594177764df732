#!/usr/bin/env node
/**
 * The `arka` command. Only what must come before all else is here: an older Node gets one line and not a parse error
 * or a missing module (so nothing newer than Node 20 is imported before the check), and the size of libuv's thread
 * pool is set before its first use, for log and object store wait on files in it.
 */
const NODE_MAJOR_MIN = 24;

if (Number(process.versions.node.split('.')[0]) < NODE_MAJOR_MIN) {
  process.stderr.write(`arka: needs Node ${NODE_MAJOR_MIN} or newer, this is ${process.version}\n`);
  process.exit(1);
}
process.env['UV_THREADPOOL_SIZE'] ??= '16';
const { main } = await import('./cli.ts');
process.exit(await main(process.argv.slice(2)));
