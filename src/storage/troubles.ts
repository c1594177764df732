/** What cannot be done for a table by itself, and is tried again: what arka.tables says of it. */
import { toSqlError } from '../errors.ts';

/** What is done for a table without anybody asking. */
export type Chore = 'flush' | 'commit' | 'rewrite' | 'refresh';

export interface Trouble {
  readonly chore: Chore;
  readonly code: string;
  readonly message: string;
  /** In a row. */
  readonly failures: number;
  /** When the first of them was, as ISO 8601. */
  readonly since: string;
}

export class Troubles {
  readonly #open = new Map<Chore, Trouble>();

  /** True: it is another trouble than before. */
  failed(chore: Chore, error: unknown, at: string): boolean {
    const { code, message } = toSqlError(error);
    const before = this.#open.get(chore);
    const same = before !== undefined && before.code === code && before.message === message;
    const { failures, since } = before ?? { failures: 0, since: at };
    this.#open.set(chore, { chore, code, message, failures: failures + 1, since });
    return !same;
  }

  done(chore: Chore): void {
    this.#open.delete(chore);
  }

  get all(): readonly Trouble[] {
    return [...this.#open.values()];
  }
}
