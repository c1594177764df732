/** What a session does, for pg_stat_activity: kept by assignments alone, read when somebody asks. */
import type { Clock } from '../clock.ts';
import { withoutSecrets } from '../secret-text.ts';

/** PostgreSQL's track_activity_query_size. */
const QUERY_BYTES_MAX = 1024;

export class SessionActivity {
  readonly startedAt: number;
  readonly #clock: Clock;
  isActive = false;
  queryAt = 0;
  changedAt: number;
  /** What it waits for, as pg_stat_activity names it. */
  waits: readonly [type: string, event: string] | null = null;
  #text: string = '';
  #bytes: Uint8Array | null = null;
  #length = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.startedAt = this.changedAt = clock.now();
  }

  /** False: it had begun. */
  begin(): boolean {
    if (this.isActive) return false;
    this.isActive = true;
    this.queryAt = this.changedAt = this.#clock.now();
    return true;
  }

  /** The statement under way. */
  runs(text: string): void {
    this.#text = text;
    this.#length = -1;
  }

  /** The same by its bytes, which are copied: nobody may ever ask. */
  runsBytes(sql: Uint8Array): void {
    this.#bytes ??= new Uint8Array(QUERY_BYTES_MAX);
    this.#length = Math.min(sql.length, QUERY_BYTES_MAX);
    this.#bytes.set(sql.length > QUERY_BYTES_MAX ? sql.subarray(0, QUERY_BYTES_MAX) : sql);
  }

  /** Without passwords. */
  get query(): string {
    const bytes =
      this.#length < 0
        ? Buffer.from(withoutSecrets(this.#text))
        : Buffer.from(withoutSecrets(Buffer.from(this.#bytes?.subarray(0, this.#length) ?? []).toString()));
    return new TextDecoder('utf-8', { ignoreBOM: true })
      .decode(bytes.subarray(0, QUERY_BYTES_MAX))
      .replace(/\uFFFD+$/, '');
  }

  end(): void {
    this.isActive = false;
    this.changedAt = this.#clock.now();
  }
}
