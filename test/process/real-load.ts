/**
 * Sessions of real clients that write without end, and a book of what they sent and what was acknowledged; and the check of a
 * server's tables against that book, whatever happened to the server in between.
 *
 * Each kind of write has tables of its own:
 *   singles    one INSERT, UPDATE or DELETE a transaction, autocommit
 *   parts, heads, trail   one transaction over three tables: partitioned, keyed, keyless
 *   copied     one COPY a transaction
 *   accounts, transfers   two UPDATEs and an INSERT a transaction
 * What was sent and not acknowledged may be there or not, but whole.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

const ACCOUNTS = 8;
const BALANCE = 1000;
const TABLES: Readonly<Record<string, string>> = {
  singles: '(id bigint PRIMARY KEY, v int)',
  parts: `(id bigint PRIMARY KEY, batch bigint, i int, filling text) WITH (partition_by = 'bucket(3, id)')`,
  heads: '(batch bigint PRIMARY KEY, size int)',
  trail: '(batch bigint, i int)',
  copied: '(id bigint PRIMARY KEY, batch bigint, size int)',
  accounts: '(id int PRIMARY KEY, balance int)',
  transfers: '(id bigint PRIMARY KEY, source int, target int, amount int)',
};

type Outcome = 'sent' | 'acknowledged';

/** What a single row must be: the acknowledged value (null: deleted), and the one that was on its way. */
interface Single {
  value: number | null | 'absent';
  sent: number | null | 'nothing';
}

export class Book {
  readonly singles = new Map<number, Single>();
  readonly batches = new Map<number, { readonly size: number; outcome: Outcome }>();
  readonly copies = new Map<number, { readonly size: number; outcome: Outcome }>();
  readonly transfers = new Map<number, Outcome>();
  acknowledged = 0;
  /** Of sessions that ended by an error which no kill explains. */
  readonly errors: Error[] = [];
  /** Codes of refusals that a session takes and goes on after. */
  readonly refused = new Map<string, number>();
}

export async function connectTo(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {}); // the server may be killed under it
  await client.connect();
  return client;
}

export async function createTables(client: Client): Promise<void> {
  for (const [name, definition] of Object.entries(TABLES)) await client.query(`CREATE TABLE ${name} ${definition}`);
  const values = Array.from({ length: ACCOUNTS }, (_, id) => `(${id}, ${BALANCE})`);
  await client.query(`INSERT INTO accounts VALUES ${values.join(', ')}`);
}

/** Sessions over one server; ids begin at `first` and never meet those of another run. */
export class RealLoad {
  readonly #url: string;
  readonly #book: Book;
  readonly #first: number;
  readonly #tolerated: readonly string[];
  readonly #clients: Client[] = [];
  readonly #loops: Promise<void>[] = [];
  #over = false;

  /** @param tolerated SQLSTATEs after which a session goes on */
  constructor(url: string, book: Book, first: number, tolerated: readonly string[] = ['40001', '40P01']) {
    this.#url = url;
    this.#book = book;
    this.#first = first;
    this.#tolerated = tolerated;
  }

  /** Starts all sessions; `moving`: one of them flushes and commits all the time. */
  async start(moving: boolean): Promise<void> {
    const kinds = [this.#single, this.#single, this.#batch, this.#batch, this.#copy, this.#transfer, this.#transfer];
    for (const [index, write] of kinds.entries()) await this.#session(index, write);
    if (moving) await this.#session(kinds.length, this.#move);
  }

  /** No more new writes; those on their way end as they may. Call `ending` before the server is killed. */
  ending(): void {
    this.#over = true;
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#loops);
    for (const client of this.#clients) await client.end().catch(() => {});
  }

  async #session(index: number, write: (client: Client, n: number) => Promise<void>): Promise<void> {
    const client = await connectTo(this.#url);
    this.#clients.push(client);
    const loop = async (): Promise<void> => {
      for (let n = this.#first + index * 100_000; !this.#over; n++) {
        try {
          await write.call(this, client, n);
          this.#book.acknowledged++;
        } catch (error) {
          if (this.#over) return;
          const { code = '' } = error as { code?: string };
          if (!this.#tolerated.includes(code)) {
            this.#book.errors.push(error as Error);
            return;
          }
          this.#book.refused.set(code, (this.#book.refused.get(code) ?? 0) + 1);
          await client.query('ROLLBACK').catch(() => {});
          if (code.startsWith('53')) await sleep(50);
        }
      }
    };
    this.#loops.push(loop());
  }

  /** A life of a row: inserted, then changed twice, every third one deleted at last. */
  async #single(client: Client, n: number): Promise<void> {
    const single: Single = { value: 'absent', sent: 1 };
    this.#book.singles.set(n, single);
    const say = async (value: number | null, text: string): Promise<void> => {
      single.sent = value;
      await client.query(text, [n]);
      single.value = value;
      single.sent = 'nothing';
    };
    await say(1, 'INSERT INTO singles VALUES ($1, 1)');
    await say(2, 'UPDATE singles SET v = v + 1 WHERE id = $1');
    await say(3, 'UPDATE singles SET v = v + 1 WHERE id = $1');
    if (n % 3 === 0) await say(null, 'DELETE FROM singles WHERE id = $1');
  }

  async #batch(client: Client, n: number): Promise<void> {
    // one in ten takes more than a group of the log
    const size = n % 10 === 7 ? 400 : 5;
    const filling = size > 5 ? 'x'.repeat(2000) : 'x';
    const entry: { readonly size: number; outcome: Outcome } = { size, outcome: 'sent' };
    this.#book.batches.set(n, entry);
    const rows = Array.from({ length: size }, (_, i) => i);
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO parts VALUES ${rows.map((i) => `(${n * 1000 + i},${n},${i},'${filling}')`).join(',')}`,
    );
    await client.query(`INSERT INTO trail VALUES ${rows.map((i) => `(${n},${i})`).join(',')}`);
    await client.query('INSERT INTO heads VALUES ($1, $2)', [n, size]);
    await client.query('COMMIT');
    entry.outcome = 'acknowledged';
  }

  async #copy(client: Client, n: number): Promise<void> {
    const size = 200;
    const entry: { readonly size: number; outcome: Outcome } = { size, outcome: 'sent' };
    this.#book.copies.set(n, entry);
    const stream = client.query(copyFrom('COPY copied FROM STDIN'));
    stream.end(Array.from({ length: size }, (_, i) => `${n * 1000 + i}\t${n}\t${size}\n`).join(''));
    await once(stream, 'finish');
    entry.outcome = 'acknowledged';
  }

  async #transfer(client: Client, n: number): Promise<void> {
    const source = n % (ACCOUNTS - 1);
    const target = source + 1;
    this.#book.transfers.set(n, 'sent');
    await client.query('BEGIN');
    await client.query('UPDATE accounts SET balance = balance - 1 WHERE id = $1', [source]);
    await client.query('UPDATE accounts SET balance = balance + 1 WHERE id = $1', [target]);
    await client.query('INSERT INTO transfers VALUES ($1, $2, $3, 1)', [n, source, target]);
    await client.query('COMMIT');
    this.#book.transfers.set(n, 'acknowledged');
  }

  async #move(client: Client, n: number): Promise<void> {
    const names = Object.keys(TABLES);
    if (n % 5 === 4) await client.query('CHECKPOINT');
    else
      for (const name of names) if ((n + name.length) % 3 > 0) await client.query(`CALL arka.flush('public.${name}')`);
    await sleep((n * 13) % 40);
  }
}

const numbers = async (client: Client, text: string): Promise<number[][]> => {
  const { rows } = await client.query<string[]>({ text, rowMode: 'array' });
  return rows.map((row) => row.map(Number));
};

/** Every way in which the tables disagree with the book; empty: they agree. */
export async function disagreements(client: Client, book: Book): Promise<string[]> {
  return [
    ...(await checkSingles(client, book)),
    ...(await checkBatches(client, book)),
    ...(await checkCopies(client, book)),
    ...(await checkTransfers(client, book)),
  ];
}

async function checkSingles(client: Client, { singles }: Book): Promise<string[]> {
  const wrong: string[] = [];
  const found = new Map<number, number>();
  for (const [id, v] of await numbers(client, 'SELECT id, v FROM singles')) {
    if (found.has(id!)) wrong.push(`singles: row ${id} is there twice`);
    if (!singles.has(id!)) wrong.push(`singles: row ${id} was never sent`);
    found.set(id!, v!);
  }
  for (const [id, { value, sent }] of singles) {
    const now = found.get(id) ?? null;
    const before = value === 'absent' ? null : value;
    if (now !== before && now !== sent) wrong.push(`singles: row ${id} is ${now}, acknowledged ${value}, sent ${sent}`);
  }
  // the way by key must agree with the scan
  for (const id of [...singles.keys()].filter((_, i) => i % 50 === 0)) {
    const rows = await numbers(client, `SELECT v FROM singles WHERE id = ${id}`);
    if (rows.length > 1 || (rows[0]?.[0] ?? null) !== (found.get(id) ?? null))
      wrong.push(`singles: row ${id} by key is ${JSON.stringify(rows)}, by scan ${found.get(id)}`);
  }
  return wrong;
}

/** Of each batch the i of its rows, 0 to size − 1, must be there once. */
function gather(rows: readonly number[][], what: string, wrong: string[]): Map<number, Set<number>> {
  const byBatch = new Map<number, Set<number>>();
  for (const [batch, i] of rows) {
    const seen = byBatch.get(batch!) ?? new Set();
    if (seen.has(i!)) wrong.push(`${what}: row ${i} of batch ${batch} is there twice`);
    byBatch.set(batch!, seen.add(i!));
  }
  return byBatch;
}

async function checkBatches(client: Client, { batches }: Book): Promise<string[]> {
  const wrong: string[] = [];
  const heads = gather(await numbers(client, 'SELECT batch, 0 FROM heads'), 'heads', wrong);
  const parts = gather(await numbers(client, 'SELECT batch, i FROM parts'), 'parts', wrong);
  const trail = gather(await numbers(client, 'SELECT batch, i FROM trail'), 'trail', wrong);
  for (const [n, { size, outcome }] of batches) {
    const sizes = [heads.get(n)?.size ?? 0, parts.get(n)?.size ?? 0, trail.get(n)?.size ?? 0];
    const whole = `1,${size},${size}`;
    if (String(sizes) !== whole && (outcome === 'acknowledged' || String(sizes) !== '0,0,0'))
      wrong.push(`batch ${n} (${outcome}): ${sizes} rows in heads, parts, trail, not ${whole}`);
  }
  for (const n of [...heads.keys(), ...parts.keys(), ...trail.keys()])
    if (!batches.has(n)) wrong.push(`batch ${n} was never sent`);
  return wrong;
}

async function checkCopies(client: Client, { copies }: Book): Promise<string[]> {
  const wrong: string[] = [];
  const found = gather(await numbers(client, 'SELECT batch, id FROM copied'), 'copied', wrong);
  for (const [n, { size, outcome }] of copies) {
    const rows = found.get(n)?.size ?? 0;
    if (rows !== size && (outcome === 'acknowledged' || rows !== 0))
      wrong.push(`COPY ${n} (${outcome}): ${rows} rows of ${size}`);
  }
  return wrong;
}

async function checkTransfers(client: Client, { transfers }: Book): Promise<string[]> {
  const wrong: string[] = [];
  const expected = Array.from({ length: ACCOUNTS }, () => BALANCE);
  const found = new Set<number>();
  for (const [id, source, target, amount] of await numbers(
    client,
    'SELECT id, source, target, amount FROM transfers',
  )) {
    if (found.has(id!)) wrong.push(`transfers: row ${id} is there twice`);
    found.add(id!);
    expected[source!]! -= amount!;
    expected[target!]! += amount!;
  }
  for (const [n, outcome] of transfers)
    if (outcome === 'acknowledged' && !found.has(n)) wrong.push(`transfer ${n} was acknowledged and is not there`);
  const balances = await numbers(client, 'SELECT id, balance FROM accounts ORDER BY id');
  const wanted = expected.map((balance, id) => [id, balance]);
  if (JSON.stringify(balances) !== JSON.stringify(wanted))
    wrong.push(`accounts: ${JSON.stringify(balances)}; the transfers make ${JSON.stringify(wanted)}`);
  return wrong;
}
