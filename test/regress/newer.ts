/**
 * Whether another answer is that of PostgreSQL 18, which Arka has inside and names as its version: PGlite alone is asked.
 *
 * - R7 It is asked for what was found to differ, after all that the file has run before, but for queries. That a name means nothing
 *   is no answer of its own: it may have refused what was to make the thing.
 */
import { openPglite, type Outcome, type Session, type Step } from '../differential/wire.ts';
import { UNKNOWN, verdictOf } from './verdict.ts';

export class Newer {
  readonly #behind: Step[];
  /** What makes its session what the others are from their start on: a RESET goes back to it there. */
  readonly #defaults: readonly string[];
  #pglite: Session | null = null;
  #asked: Step | null = null;

  constructor(settings: Readonly<Record<string, string>>) {
    this.#defaults = Object.entries(settings).map(([name, value]) => `SET ${name} = '${value}'`);
    this.#behind = [...this.#defaults];
  }

  /** After `answers`, where that is asked. */
  ran(sql: string, step: Step): void {
    const isQuery = /^\s*(?:select|with|table|values|\()/i.test(sql.replaceAll(/--[^\n]*/g, ''));
    if (step !== this.#asked && (!isQuery || /\binto\b/i.test(sql))) this.#behind.push(step);
    if (/^\s*(?:reset|discard)\b/i.test(sql.replaceAll(/--[^\n]*/g, ''))) this.#behind.push(...this.#defaults);
    this.#asked = null;
  }

  /** True: Arka's answer is its own, too. */
  async answers(sql: string, step: Step, arka: Outcome): Promise<boolean> {
    if (UNKNOWN.has(arka.error?.['code'] ?? '')) return false;
    this.#asked = step;
    try {
      this.#pglite ??= await openPglite();
      for (const each of this.#behind.splice(0)) await this.#pglite.run(each);
      return ['same', 'error'].includes(verdictOf(sql, await this.#pglite.run(step), arka, false));
    } catch {
      this.#pglite = null; // the statement has ended it; a fresh one has no tables
      return false;
    }
  }

  async close(): Promise<void> {
    await this.#pglite?.close();
  }
}
