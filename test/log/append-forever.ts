// A child of log.test.ts: appends until it is killed, and writes each acknowledged LSN to a file (a pipe may be full).
import { openSync, writeSync } from 'node:fs';
import { openLog } from '../../src/storage/log/log.ts';

const acknowledgements = openSync(process.argv[3]!, 'a');
const log = await openLog({ dir: process.argv[2]!, segmentBytes: 2 ** 20, ringBytes: 2 ** 18 });
await log.replay(1, () => undefined);
await log.start(log.lastLsn + 1);
const one = async (): Promise<void> => {
  for (;;) {
    const lsn = log.lastLsn + 1;
    const payload = new Uint8Array(lsn % 3000).fill(lsn);
    if (!log.append({ kind: 'data', firstLsn: lsn, count: 1, transaction: lsn, last: true }, [payload])) {
      await log.room(payload.length);
      continue;
    }
    await log.durable(lsn);
    writeSync(acknowledgements, `${lsn}\n`);
    if (lsn % 500 === 0) writeSync(1, '.');
  }
};
await Promise.all(Array.from({ length: 8 }, one));
