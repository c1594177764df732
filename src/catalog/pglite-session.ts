/**
 * The one PostgreSQL session inside PGlite: restored from the image, asked by batches of protocol messages.
 *
 * - S1 A batch is answered whole before `exchange` returns; the session is never in a transaction between batches of
 *   different requests.
 * - S2 An answer without its ReadyForQuery means that the session is lost: `SessionLost`, and the thread ends.
 * - S3 `search_path`, `TimeZone` and styles are set only when they differ from the last request's: most requests cost one batch.
 */
import { quoteIdentifier } from '../sql-text.ts';
import { quoteLiteral } from '../sql-text.ts';
import { readFile } from 'node:fs/promises';
import { PGlite } from '@electric-sql/pglite';
import { SqlError, SqlState } from '../errors.ts';
import { DEFAULT_STYLES, stylesIn, zoneName } from '../types/output-styles.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { parseAnswer, type Answer } from './backend-messages.ts';
import type { SessionContext } from './catalog-api.ts';
import { writeQuery } from './frontend-messages.ts';

/** Results that lie in memory whole; a table of definitions is far smaller. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** PGlite's own defaults (single user, no fsync, system tables may change) and ours. */
const START_PARAMS: readonly string[] = [
  ...PGlite.defaultStartParams,
  '-b', // binary upgrade: OIDs of tables are imposed, not chosen
  ...[
    'shared_buffers=16MB',
    'temp_buffers=1MB',
    'wal_buffers=256kB',
    'min_wal_size=2MB',
    'max_wal_size=4MB',
    'full_page_writes=off',
    'synchronous_commit=off',
    'wal_level=minimal',
    'max_wal_senders=0',
    'jit=off',
    'log_min_messages=fatal',
    'client_min_messages=warning',
  ].flatMap((setting) => ['-c', setting]),
];

/** The session inside is gone; the worker has to start anew. */
export class SessionLost extends Error {
  constructor(cause?: unknown) {
    super('the catalog session is lost', { cause });
    this.name = 'SessionLost';
  }
}

export interface PgliteSession {
  /**
   * Sends the messages that `write` writes, the last one a Query or Sync, and gives the answer; PostgreSQL's errors are
   * in it. What `write` throws is thrown before anything is sent: half a message would hang PGlite.
   */
  exchange(write: (out: ByteWriter) => void): Promise<{ readonly bytes: Uint8Array; readonly answer: Answer }>;
  /** Simple query; throws its error. */
  run(sql: string): Promise<void>;
  /** The data that COPY … FROM '/dev/blob' reads; null: none. */
  give(data: Blob | null): Promise<void>;
  /** Makes the session's settings those of a request. */
  enter(context: SessionContext): Promise<void>;
  close(): Promise<void>;
}

export async function openSession(image: URL | string): Promise<PgliteSession> {
  const tar = await readImage(image);
  const pg = await PGlite.create({ loadDataDir: new Blob([tar]), database: 'arka', startParams: [...START_PARAMS] });
  const writer = new ByteWriter(16 * 1024);
  let current = '';
  let currentStyles = settingsOf(null);

  async function exchange(
    write: (out: ByteWriter) => void,
  ): Promise<{ readonly bytes: Uint8Array; readonly answer: Answer }> {
    const chunks = new Chunks();
    writer.length = 0;
    write(writer);
    try {
      // The stream form: PGlite's other forms parse every message and keep it.
      await pg.execProtocolRawStream(writer.take(), { syncToFs: false, onRawData: (bytes) => chunks.add(bytes) });
    } catch (error) {
      throw new SessionLost(error);
    }
    const bytes = chunks.take();
    const answer = parseAnswer(bytes);
    if (chunks.overflown)
      throw new SqlError(
        SqlState.programLimitExceeded,
        `result of more than ${ANSWER_BYTES_MAX >> 20} MB from a statement that reads no table`,
        {
          hint: 'Ask for it in parts.',
        },
      );
    // PGlite swallows a trap and goes on with the next message of the batch, which then misses the statement.
    if (answer.ready !== 1 || answer.error?.code === SqlState.invalidSqlStatementName)
      throw new SessionLost(answer.error);
    return { bytes, answer };
  }

  async function run(sql: string): Promise<void> {
    const { answer } = await exchange((out) => writeQuery(out, sql));
    if (answer.error !== null) throw answer.error;
  }

  async function enter(context: SessionContext): Promise<void> {
    const path = context.searchPath.length === 0 ? "''" : context.searchPath.map(quoteIdentifier).join(', ');
    const sql = `SET search_path = ${path}; SET TimeZone = ${quoteLiteral(zoneName(context.timeZone))}`;
    const styles = settingsOf(stylesIn(context.timeZone));
    if (sql === current && styles === currentStyles) return;
    current = ''; // all run as one transaction, but an error must not pass for success later
    await run(styles === currentStyles ? sql : `${sql}; ${styles}`);
    current = sql;
    currentStyles = styles;
  }

  const give = (data: Blob | null): Promise<void> => pg._handleBlob(data ?? undefined);

  return { exchange, run, give, enter, close: () => pg.close() };
}

function settingsOf(styles: ReturnType<typeof stylesIn>): string {
  const { date, order, interval, bytea, floatDigits } = styles ?? DEFAULT_STYLES;
  return (
    `SET DateStyle = '${date}, ${order}'; SET IntervalStyle = ${interval}; ` +
    `SET bytea_output = ${bytea}; SET extra_float_digits = ${floatDigits}`
  );
}

async function readImage(image: URL | string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readFile(image);
  } catch (error) {
    throw new SqlError(SqlState.ioError, 'the catalog image cannot be read', {
      hint: 'npm run build makes it.',
      cause: error,
    });
  }
}

/** Bytes as they come: PGlite's chunks are views of its memory and must be copied at once. */
class Chunks {
  overflown = false;
  #bytes = new Uint8Array(8 * 1024);
  #length = 0;

  /** Never throws: it is called from inside WebAssembly. Past the limit it keeps counting on, without storing. */
  add(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length;
    if (this.overflown || needed > ANSWER_BYTES_MAX) {
      this.overflown = true;
      return;
    }
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = grown;
    }
    this.#bytes.set(chunk, this.#length);
    this.#length = needed;
  }

  take(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
