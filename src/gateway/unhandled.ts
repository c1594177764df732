/**
 * Queries of PostgreSQL's catalogs that failed: what a client asked for and did not get, as the view arka.unhandled shows it to
 * superusers (literals are in it). The newest are kept, each text once.
 */
import type { Clock } from '../clock.ts';
import { toSqlError } from '../errors.ts';
import { withoutSecrets } from '../secret-text.ts';

const TEXTS_MAX = 500;
const CHARACTERS_MAX = 2000;
const CATALOGS = /\bpg_\w+|\binformation_schema\b/i;

export interface UnhandledQuery {
  readonly query: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly count: number;
  readonly first_at: string;
  readonly last_at: string;
}

export class UnhandledLog {
  readonly #clock: Clock;
  readonly #byText = new Map<string, UnhandledQuery>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get all(): readonly UnhandledQuery[] {
    return [...this.#byText.values()].toReversed();
  }

  /** Looks at a statement that failed; others than those of catalogs are left out. */
  note(text: string, error: unknown): void {
    if (!CATALOGS.test(text)) return;
    const query = withoutSecrets(text.trim().slice(0, CHARACTERS_MAX));
    const { code: sqlstate, message } = toSqlError(error);
    const now = new Date(this.#clock.now()).toISOString();
    const before = this.#byText.get(query);
    this.#byText.delete(query); // the map's order is that of the last failure
    const { count = 0, first_at: first = now } = before ?? {};
    this.#byText.set(query, { query, sqlstate, message, count: count + 1, first_at: first, last_at: now });
    if (this.#byText.size <= TEXTS_MAX) return;
    for (const oldest of this.#byText.keys()) {
      this.#byText.delete(oldest);
      break;
    }
  }
}

/** `work`, at once or later, which is for a statement with that text. */
export function noted<T>(log: UnhandledLog | undefined, text: string, work: () => T): T {
  const failed = (error: unknown): never => {
    log?.note(text, error);
    throw error;
  };
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(failed) as T) : result;
  } catch (error) {
    return failed(error);
  }
}
