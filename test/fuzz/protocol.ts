// Question: does any sequence of bytes make the server crash, answer XX000, answer what is no message, or keep memory or sessions?
// Unit: connections, messages and answers by SQLSTATE; a failure is a line of its own and exit code 1.
// Run: npm run fuzz:protocol -- [SECONDS, 60] [SEED] [FIRST CONNECTION, 0] [AT A TIME, 8]
import { connect } from 'node:net';
import { errorFields, message } from '../process/wire-connection.ts';
import { Talker } from '../gateway/talker.ts';
import { DEFINITIONS, messagesOf, startOf } from './messages.ts';
import { Random } from './random.ts';
import { WatchedServer } from './server-watch.ts';

/** A server that says nothing for so long has lost the connection. */
const SILENCE_MS = 60_000;
/** What PostgreSQL itself says with XX000. */
const OF_POSTGRES = /^(?:unsupported jsonb version number|cache lookup failed for type) \d+$/;
const ANSWERS = new Set([...'RSKZTDC12n3tEINsAGHdcv']);

const [seconds = '60', seed = String(Date.now() % 2 ** 31), first = '0', width = '8'] = process.argv.slice(2);
const failures: string[] = [];
const codes = new Map<string, number>();
let connections = 0;
let messages = 0;

/** Looks at all that came back. */
function check(received: Buffer, run: string): void {
  let at = 0;
  while (
    at < received.length &&
    'SN'.includes(String.fromCharCode(received[at]!)) &&
    (at + 5 > received.length || received.readUInt32BE(at + 1) > 2 ** 24)
  )
    at++; // to SSLRequest
  while (at + 5 <= received.length) {
    const type = String.fromCharCode(received[at]!);
    const end = at + 1 + received.readInt32BE(at + 1);
    if (!ANSWERS.has(type) || end < at + 5)
      return void failures.push(`${run}: an answer of type ${JSON.stringify(type)}`);
    if (end > received.length) return; // the connection was cut
    if (type === 'E') {
      const fields = errorFields(received, at + 5, end);
      const code = fields.get('C') ?? '';
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (code.startsWith('XX') && !OF_POSTGRES.test(fields.get('M') ?? ''))
        failures.push(`${run}: ${code} ${fields.get('M')}`);
    }
    at = end;
  }
}

/** One connection from its first byte to its last. */
async function one(port: number, number: number): Promise<void> {
  const random = new Random(Number(seed) * 1_000_003 + number);
  const run = `seed ${seed}, connection ${number}`;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const received: Buffer[] = [];
  const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
  socket.on('data', (bytes) => received.push(bytes));
  socket.on('error', () => {});
  connections++;
  const sent = [startOf(random, 'arka'), ...messagesOf(random)];
  messages += sent.length;
  const all = Buffer.concat(sent);
  const cut = random.of([1, 7, 100, 1e9]);
  for (let at = 0; at < all.length && !socket.destroyed;) {
    const next = Math.min(all.length, at + 1 + random.below(cut));
    socket.write(all.subarray(at, next));
    at = next;
    if (cut < 1e9) await new Promise((resolve) => setImmediate(resolve));
  }
  if (random.chance(4)) socket.destroy(); // in the middle
  else socket.end(random.chance(2) ? message('X') : Buffer.alloc(0));
  const silence = setTimeout(() => {
    failures.push(`${run}: not closed after ${SILENCE_MS / 1000} s`);
    socket.destroy();
  }, SILENCE_MS);
  await closed;
  clearTimeout(silence);
  check(Buffer.concat(received), run);
}

await using watched = await WatchedServer.start();
const { url } = watched.server;
const admin = await Talker.connect(url);
const defined = await admin.query(DEFINITIONS);
if (defined.at(-2)?.startsWith('C INSERT') !== true) throw new Error(defined.join(' | '));
const port = Number(new URL(url).port);
const until = performance.now() + Number(seconds) * 1000;
let next = Number(first);
await Promise.all(
  Array.from({ length: Number(width) }, async () => {
    while (performance.now() < until && !watched.isOver && failures.length < 20) await one(port, next++);
  }),
);
if (!watched.isOver) {
  // who has closed is no session any more
  for (let left = 1; left > 0 && !watched.isOver;) {
    const [, row = ''] = await admin.query('SELECT count(*) FROM pg_stat_activity');
    if (row === 'D 1' || !row.startsWith('D')) left = 0;
    else await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const answer = await admin.query('SELECT count(*) > 0 FROM fuzz');
  if (!answer.includes('D t')) failures.push(`afterwards: ${answer.join(' | ')}`);
  await admin.end();
}
failures.push(...watched.verdict());
const table = [...codes]
  .toSorted(([, a], [, b]) => b - a)
  .map(([code, n]) => `${code} ${n}`)
  .join(', ');
console.log(
  `seed ${seed}: ${connections} connections, ${messages} messages, memory +${watched.growth() >> 20} MB; errors: ${table}`,
);
for (const failure of failures) console.log(`FAILED ${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;
