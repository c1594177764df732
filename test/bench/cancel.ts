// Question: how long after a CancelRequest does the statement end with 57014, whatever it is at? Goal: within 100 ms.
// Unit: ms from the connection of the CancelRequest to the ErrorResponse, median and maximum of ROUNDS, each at another moment.
// Run: node test/bench/cancel.ts [--rows 2000000] [--rounds 5] [--only NAME] [postgresql://…]   (a URL: the same against that server)
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startServer } from '../process/server-process.ts';
import { errorFields, int32, message, queryMessage, WireConnection } from '../process/wire-connection.ts';

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '2000000' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});
const rows = Number(given.rows);
const rounds = Number(given.rounds);
const [outside] = positionals;

/** One connection: an answer is the SQLSTATE of its error, '' where there was none. */
class Session {
  readonly #address: string;
  readonly connection: WireConnection;
  #key: Buffer = Buffer.alloc(0);
  #state = '';
  #ended: { resolve: (state: string) => void } | null = null;
  #erred: (() => void) | null = null;
  /** What came of rows, and told at the first of them. */
  bytes = 0;
  onRows: () => void = () => {};
  onCopyIn: () => void = () => {};

  private constructor(address: string) {
    this.#address = address;
    this.connection = new WireConnection(address, {
      message: (type, bytes, start, end) => this.#message(String.fromCharCode(type), bytes, start, end),
      closed: (error) => {
        throw error;
      },
    });
  }

  static async open(address: string): Promise<Session> {
    const session = new Session(address);
    await session.#answer();
    return session;
  }

  #message(type: string, bytes: Buffer, start: number, end: number): void {
    if (type === 'K') this.#key = Buffer.from(bytes.subarray(start, end));
    else if (type === 'E') {
      this.#state = errorFields(bytes, start, end).get('C')!;
      this.#erred?.();
    } else if (type === 'D' || type === 'd') {
      this.bytes += end - start;
      this.onRows();
    } else if (type === 'G') this.onCopyIn();
    else if (type === 'Z') this.#ended?.resolve(this.#state);
  }

  #answer(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#ended = { resolve };
    return promise;
  }

  ask(sql: string): Promise<string> {
    this.#state = '';
    this.bytes = 0;
    const answer = this.#answer();
    this.connection.send(queryMessage(sql));
    return answer;
  }

  async run(sql: string): Promise<void> {
    const state = await this.ask(sql);
    if (state !== '') throw new Error(`${state} of ${sql}`);
  }

  erred(): Promise<void> {
    return new Promise((resolve) => (this.#erred = resolve));
  }

  cancel(): void {
    const { hostname, port } = new URL(this.#address);
    const socket = connectSocket(Number(port), hostname);
    const body = Buffer.concat([int32(80_877_102), this.#key]);
    socket.end(Buffer.concat([int32(body.length + 4), body]));
    socket.on('error', () => undefined);
    socket.resume();
  }
}

interface Case {
  readonly name: string;
  readonly sql: string;
  /** Before each: in the session that is cancelled, and in another one. */
  readonly before?: string;
  readonly beside?: string;
  readonly after?: string;
  /** What the client does meanwhile. */
  readonly client?: 'sends' | 'stops sending' | 'stops reading';
}

const CASES: readonly Case[] = [
  { name: 'sleep', sql: 'SELECT pg_sleep(60)' },
  {
    name: 'wait for a row',
    sql: 'UPDATE c_small SET v = 1 WHERE id = 1',
    beside: 'BEGIN; UPDATE c_small SET v = 2 WHERE id = 1',
    after: 'ROLLBACK',
  },
  {
    name: 'wait for a table',
    sql: 'SELECT * FROM c_small',
    beside: 'BEGIN; LOCK TABLE c_small',
    after: 'ROLLBACK',
  },
  { name: 'scan', sql: "SELECT count(*) FROM c WHERE t LIKE '%a%b%c%d%' OR md5(t || id) LIKE '%00000000%'" },
  { name: 'aggregate', sql: 'SELECT md5(t || id), count(*), sum(v) FROM c GROUP BY 1 ORDER BY 2 LIMIT 1' },
  { name: 'sort', sql: 'SELECT * FROM c ORDER BY md5(t), v, id OFFSET 1999000' },
  { name: 'window', sql: 'SELECT max(n) FROM (SELECT row_number() OVER (ORDER BY md5(t)) AS n FROM c) AS q' },
  { name: 'join', sql: 'SELECT count(*) FROM c AS a JOIN c AS b ON a.v = b.v WHERE a.id % 7 < b.id % 5' },
  { name: 'cross join', sql: 'SELECT count(*) FROM c AS a, c AS b WHERE a.v + b.v < a.id' },
  { name: 'SELECT *', sql: 'SELECT * FROM c AS a, c_small' },
  { name: 'SELECT *, half read', sql: 'SELECT * FROM c AS a, c_small', client: 'stops reading' },
  { name: 'COPY TO', sql: 'COPY (SELECT * FROM c AS a, c_small) TO STDOUT' },
  { name: 'COPY TO, half read', sql: 'COPY (SELECT * FROM c AS a, c_small) TO STDOUT', client: 'stops reading' },
  { name: 'COPY FROM', sql: 'COPY c_empty FROM STDIN', client: 'sends' },
  { name: 'COPY FROM, no data', sql: 'COPY c_empty FROM STDIN', client: 'stops sending' },
  { name: 'catalog', sql: 'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r' },
  { name: 'series', sql: 'SELECT count(*) FROM generate_series(1, 3000000000) AS g WHERE g % 7 = 3' },
  { name: 'INSERT … SELECT', sql: 'INSERT INTO c_empty SELECT a.* FROM c AS a, c_small' },
  { name: 'UPDATE', sql: 'UPDATE c SET v = v + 1', before: 'BEGIN', after: 'ROLLBACK' },
  { name: 'DELETE', sql: 'DELETE FROM c', before: 'BEGIN', after: 'ROLLBACK' },
  { name: 'CREATE TABLE AS', sql: 'CREATE TABLE c_made AS SELECT a.* FROM c AS a, c_small' },
  {
    // by itself it takes a few ms, for rows are taken in beside everything else: what may be long is its wait for who has the table alone
    name: 'CREATE INDEX',
    sql: 'CREATE INDEX c_by_t ON c USING hash (t)',
    beside: 'BEGIN; LOCK TABLE c',
    after: 'ROLLBACK',
  },
];

async function measure(address: string, each: Case): Promise<number[]> {
  const session = await Session.open(address);
  const other = await Session.open(address);
  const { connection } = session;
  const line = Buffer.from('1\t2\tthree\n'.repeat(2000));
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    if (each.beside !== undefined) await other.run(each.beside);
    if (each.before !== undefined) await session.run(each.before);
    let over = false;
    session.onCopyIn = () => {
      if (each.client === 'stops sending') connection.send(message('d', line));
      else if (each.client === 'sends')
        void (async () => {
          while (!over) if (!connection.send(message('d', line))) await connection.drained();
        })();
    };
    session.onRows = () => {
      if (each.client === 'stops reading' && session.bytes > 4_000_000 && !over) connection.pause();
    };
    const state = session.ask(each.sql);
    const done = state.then(() => performance.now());
    await sleep(60 + round * 170);
    const begun = performance.now();
    over = true;
    const erred = session.erred().then(() => performance.now());
    session.cancel();
    if (each.client === 'stops reading') connection.resume();
    const at = await Promise.race([erred, done]);
    const said = await state;
    if (said === '57014') times.push(at - begun);
    else if (said !== '') throw new Error(`${each.name}: ${said}`); // it was done before
    if (each.after !== undefined) await (each.beside === undefined ? session : other).run(each.after);
  }
  await Promise.all([session.connection.end(), other.connection.end()]);
  return times;
}

const server = outside === undefined ? await startServer({ built: true }) : null;
const url = outside ?? server!.url;
const control = await Session.open(url);
for (const name of ['c', 'c_small', 'c_empty', 'c_made']) await control.run(`DROP TABLE IF EXISTS ${name}`);
await control.run('CREATE TABLE c (id bigint, v int, t text)');
await control.run('CREATE TABLE c_small (id bigint PRIMARY KEY, v int)');
await control.run('CREATE TABLE c_empty (id bigint, v int, t text)');
await control.run('INSERT INTO c_small SELECT g, g FROM generate_series(1, 50) AS g');
const half = Math.floor(rows / 2);
const fill = (from: number, to: number): Promise<void> =>
  control.run(`INSERT INTO c SELECT g, g % 1000, 'text of row ' || g FROM generate_series(${from}, ${to}) AS g`);
await fill(1, half);
if (outside === undefined) await control.run('CHECKPOINT');
await fill(half + 1, rows);
for (const each of CASES) {
  if (!each.name.includes(given.only)) continue;
  const times = (await measure(url, each)).toSorted((a, b) => a - b);
  const cell = (value: number | undefined): string => (value === undefined ? '–' : value.toFixed(0)).padStart(6);
  console.log(
    `${each.name.padEnd(22)} ${cell(times[times.length >> 1])} ${cell(times.at(-1))} ms  ${times.length}/${rounds}`,
  );
}
for (const name of ['c', 'c_small', 'c_empty']) await control.run(`DROP TABLE IF EXISTS ${name}`);
await control.connection.end();
if (server !== null) {
  await server.stop();
  await server[Symbol.asyncDispose]();
}
