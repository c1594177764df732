// Question: what does the protocol cost with a gateway that does nothing? Unit: transactions/s of pgbench -c 8, and
// bytes of heap and external memory per idle session. Run: node test/bench/wire.ts [path of pgbench]
import { spawnSync, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.ts';
import { DescribedRow } from '../../src/wire/described-row.ts';
import type { Gateway } from '../../src/wire/gateway-api.ts';
import { listen } from '../../src/wire/listener.ts';
import { COLUMNS, dataRow, RawClient, STARTUP } from '../wire/fake-gateway.ts';

const ROW = dataRow('1');
const gateway: Gateway = {
  cancel: () => {},
  credential: () => null,
  open: async () => ({
    pid: 1,
    cancelKey: new Uint8Array(4),
    parameters: new Map([
      ['server_version', '16.0'],
      ['client_encoding', 'UTF8'],
    ]),
    statements: new Map(),
    portals: new Map(),
    status: () => 'I',
    simple(_text, out) {
      out.rowDescription(COLUMNS, [0]);
      out.writer.raw(ROW);
      out.commandComplete('SELECT 1');
    },
    parse: () => ({ parameterOids: [], columns: COLUMNS }),
    bind: () => ({ columns: COLUMNS, formats: [0], described: new DescribedRow(), close: () => {} }),
    execute(_portal, _maxRows, out) {
      out.writer.raw(ROW);
      out.commandComplete('SELECT 1');
    },
    sync: () => {},
    failed: () => {},
    close: async () => {},
  }),
};
const listener = await listen({
  host: '127.0.0.1',
  port: 0,
  maxConnections: 2000,
  gateway,
  clock: systemClock,
  log: console.error,
});
if (process.argv[2] === '--serve') console.log(listener.port);
else {
  const server = spawn(process.execPath, [import.meta.filename, '--serve'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = String(await new Promise((resolve) => server.stdout.once('data', resolve))).trim();
  const script = join(tmpdir(), 'arka-bench-select.sql');
  writeFileSync(script, 'SELECT 1;\n');
  for (const mode of ['simple', 'extended', 'prepared']) {
    const run = spawnSync(
      process.argv[2] ?? 'pgbench',
      ['-n', '-M', mode, '-c', '8', '-T', '3', '-f', script, '-h', '127.0.0.1', '-p', port, '-U', 'a', 'a'],
      { encoding: 'utf8' },
    );
    console.log(mode, /tps = \d+/.exec(run.stdout)?.[0] ?? run.stderr);
  }
  server.kill();
  const before = process.memoryUsage();
  const clients = Array.from({ length: 500 }, () => new RawClient(listener.port));
  for (const client of clients) {
    client.socket.write(STARTUP);
    await client.until((c) => c.types().endsWith('Z'));
  }
  const after = process.memoryUsage();
  console.log(
    'KB per idle session, its client in the same process included:',
    ((after.heapUsed + after.external - before.heapUsed - before.external) / 500 / 1024).toFixed(0),
  );
  for (const client of clients) client.socket.destroy();
}
if (process.argv[2] !== '--serve') await listener.close();
