// Question: what does one durable frame cost over a bare fdatasync of 4 KB on the same file system, and what do 8 and 64
// outstanding frames share? Unit: ms (append → durable) and frames/s. Run: node test/bench/log.ts [directory]
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLog } from '../../src/storage/log/log.ts';

const dir = fs.mkdtempSync(join(process.argv[2] ?? tmpdir(), 'arka-log-bench-'));
const quantile = (sorted: number[], q: number): string => sorted[Math.floor(sorted.length * q)]!.toFixed(3);
const show = (name: string, times: number[], seconds: number): void => {
  times.sort((a, b) => a - b);
  console.log(
    `${name.padEnd(34)} p50 ${quantile(times, 0.5)} ms  p99 ${quantile(times, 0.99)} ms  ${Math.round(times.length / seconds)}/s`,
  );
};

function bare(rounds: number): void {
  const fd = fs.openSync(join(dir, 'bare'), 'w+');
  fs.writeSync(fd, new Uint8Array(2 ** 24));
  fs.fsyncSync(fd);
  const block = new Uint8Array(4096).fill(1);
  const times: number[] = [];
  const start = performance.now();
  for (let i = 0; i < rounds; i++) {
    const before = performance.now();
    fs.writeSync(fd, block, 0, 4096, i * 4096);
    fs.fdatasyncSync(fd);
    times.push(performance.now() - before);
  }
  show('bare pwrite + fdatasync, 4 KB', times, (performance.now() - start) / 1000);
  fs.closeSync(fd);
}

const log = await openLog({ dir: join(dir, 'wal'), segmentBytes: 2 ** 26, ringBytes: 2 ** 24 });
await log.start(log.lastLsn + 1);

async function writers(outstanding: number, rounds: number, payload: Uint8Array): Promise<void> {
  const times: number[] = [];
  const start = performance.now();
  const one = async (): Promise<void> => {
    for (let i = 0; i < rounds; i++) {
      const before = performance.now();
      const lsn = log.lastLsn + 1;
      while (
        !log.append({ kind: 'data', firstLsn: log.lastLsn + 1, count: 1, transaction: lsn, last: true }, [payload])
      )
        await log.room(payload.length);
      await log.durable(log.lastLsn);
      times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: outstanding }, one));
  const seconds = (performance.now() - start) / 1000;
  show(`log, ${outstanding} outstanding, ${payload.length} B`, times, seconds);
  if (payload.length > 10_000)
    console.log(`${''.padEnd(34)} ${((times.length * payload.length) / seconds / 2 ** 20).toFixed(0)} MB/s`);
}

for (let round = 0; round < 3; round++) {
  bare(1000);
  await writers(1, 1000, new Uint8Array(200));
  await writers(8, 500, new Uint8Array(200));
  await writers(64, 200, new Uint8Array(200));
}
await writers(8, 100, new Uint8Array(2 ** 18));
await log[Symbol.asyncDispose]();
const again = await openLog({ dir: join(dir, 'wal'), segmentBytes: 2 ** 26, ringBytes: 2 ** 24 });
const start = performance.now();
let bytes = 0;
await again.replay(1, (frame) => void (bytes += frame.payload.length));
console.log(
  `replay of ${again.lastLsn} frames, ${(again.stats().bytes / 2 ** 20).toFixed(0)} MB of files: ${(bytes / 2 ** 20 / ((performance.now() - start) / 1000)).toFixed(0)} MB/s of payload`,
);
await again[Symbol.asyncDispose]();
fs.rmSync(dir, { recursive: true });
