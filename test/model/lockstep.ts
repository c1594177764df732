/**
 * One sequence on Arka and on PostgreSQL, step by step.
 *
 * - L1 After each step both have answered alike (rows, columns, tag, SQLSTATE, transaction status), or both wait.
 * - L2 After each step those that waited have been answered alike, or wait on both.
 * - L3 After each step that may change rows the acting session reads the same rows on both, and so does one that only looks on: after what may
 *   have committed and every third time inside a block.
 * - L4 The change feed, applied to the rows of a position, gives the rows of the end (`feed.ts`).
 * A statement that Arka refuses with 0A000 is not made on PostgreSQL; in a block PostgreSQL's is made to fail.
 */
import { isDeepStrictEqual } from 'node:util';
import { comparable } from '../differential/compare.ts';
import type { Outcome, Step } from '../differential/wire.ts';
import { knownDifference } from './differences.ts';
import { FeedWatch } from './feed.ts';
import { eventSql, scriptText, stepText, wireStep, type Event, type Sequence } from './sequence.ts';
import type { Side } from './side.ts';
import type { Statement } from './statements.ts';
import { definition, isGenerated, type Table } from './tables.ts';

export interface Arka extends Side {
  /** The server ends, in order or by a crash, and starts again on its data. */
  again(event: 'restart' | 'crash'): Promise<void>;
  /** What the server has said to standard error. */
  log(): string;
}

export interface Report {
  /** Statements by kind; `refused` those that Arka answered with 0A000. */
  readonly statements: Map<string, number>;
  readonly refused: Map<string, number>;
  /** Answers with an error, by SQLSTATE. */
  readonly errors: Map<string, number>;
  /** Sequences left because of a known difference. */
  readonly left: Map<string, number>;
}
export const emptyReport = (): Report => ({
  statements: new Map(),
  refused: new Map(),
  errors: new Map(),
  left: new Map(),
});
const count = (of: Map<string, number>, what: string): void => void of.set(what, (of.get(what) ?? 0) + 1);

/** Answers of the two that are not alike. */
export class DifferenceError extends Error {
  override readonly name = 'DifferenceError';
}
/** A known difference: the rest of the sequence says nothing. */
class Left extends Error {}

const LOG_SHOWN = 2000;
let nextSchema = 1;

export class Lockstep {
  readonly #arka: Arka;
  readonly #oracle: Side;
  readonly #sequence: Sequence;
  readonly #report: Report;
  readonly #schema = `model_${process.pid}_${nextSchema++}`;
  readonly #severalSessions: boolean;
  readonly #sessions: readonly string[];
  readonly #ready = new Set<string>();
  readonly #waiting = new Map<string, Statement>();
  readonly #inBlock = new Set<string>();
  readonly #feed: FeedWatch;
  #at = 0;
  #jumps = 0;
  /** Tables that were altered since the feed of them began. */
  readonly #altered = new Set<Table>();
  /** A block that is open has definitions: who looks on would wait for its end. */
  #isDefining = false;
  /** The two may have drawn different numbers. */
  #owesJump = false;

  constructor(arka: Arka, oracle: Side, sequence: Sequence, report: Report) {
    this.#arka = arka;
    this.#oracle = oracle;
    this.#sequence = sequence;
    this.#report = report;
    this.#feed = new FeedWatch((step) => arka.observe(step), this.#schema);
    this.#sessions = [...new Set(sequence.steps.flatMap((step) => ('session' in step ? [step.session] : [])))];
    this.#severalSessions = this.#sessions.length > 1;
  }

  /** @throws {DifferenceError} with the script up to the first difference */
  async run(): Promise<void> {
    try {
      await this.#define();
      for (const step of this.#sequence.steps) {
        this.#at++;
        await ('event' in step ? this.#event(step.event, step.table, step.options) : this.#statement(step));
      }
      await Promise.all([this.#arka.forget(), this.#oracle.forget()]);
      await this.#checkFeed();
    } catch (error) {
      if (!(error instanceof Left)) {
        if (!(error instanceof DifferenceError)) console.log(`${error}\n${scriptText(this.#sequence, this.#at)}`);
        throw error;
      }
      count(this.#report.left, error.message);
    } finally {
      await Promise.all([this.#arka.forget(), this.#oracle.forget()]);
      await this.#oracle.observe('ROLLBACK');
      await this.#oracle.observe('DISCARD ALL');
      for (const side of [this.#oracle, this.#arka]) await side.observe(`DROP SCHEMA ${this.#schema} CASCADE`);
    }
  }

  async #define(): Promise<void> {
    for (const side of [this.#arka, this.#oracle]) {
      const made = this.#sequence.tables.flatMap((table) => definition(table, side === this.#arka));
      for (const sql of [`CREATE SCHEMA ${this.#schema}`, `SET search_path = ${this.#schema}`, ...made]) {
        const { error } = await side.observe(sql);
        if (error !== null) throw new DifferenceError(`${side.name}: ${sql}: ${JSON.stringify(error)}`);
      }
    }
    for (const table of this.#sequence.tables) await this.#feed.begin(table);
  }

  async #enter(session: string): Promise<void> {
    if (this.#ready.has(session)) return;
    this.#ready.add(session);
    for (const side of [this.#arka, this.#oracle])
      await (await side.session(session)).run(`SET search_path = ${this.#schema}`);
  }

  async #event(event: Event, table: string, options: string): Promise<void> {
    count(this.#report.statements, `arka: ${event}`);
    const sql = eventSql(event, `${this.#schema}.${table}`, options);
    // it waits for transactions at the table
    if (event === 'options' && (this.#inBlock.size > 0 || this.#waiting.size > 0)) return;
    if (this.#isDefining && sql !== null) return;
    if (sql !== null) {
      const { error } = await this.#arka.observe(sql);
      // the table, or a column, has another name at times
      const mayFail = event === 'options' || event === 'flush' || event === 'compaction';
      if (error !== null && !(mayFail && /^(42P01|42703|0A000)$/.test(error['code']!)))
        this.#differs('event', { arka: error, oracle: 'nothing' });
    } else {
      if (event === 'restart' && this.#waiting.size > 0) return;
      if (event === 'restart') await this.#arka.forget();
      await this.#oracle.forget();
      await this.#oracle.observe('ROLLBACK');
      await this.#oracle.observe('DISCARD ALL');
      await this.#arka.again(event as 'restart' | 'crash');
      this.#ready.clear();
      this.#waiting.clear();
      this.#inBlock.clear();
      this.#isDefining = false;
      this.#altered.clear();
      await this.#arka.observe(`SET search_path = ${this.#schema}`);
      await this.#oracle.observe(`SET search_path = ${this.#schema}`);
      this.#owesJump = true;
      await this.#checkFeed();
    }
    await this.#compareTables(null, this.#sequence.tables);
  }

  async #checkFeed(): Promise<void> {
    for (const table of this.#sequence.tables) {
      const wrong = await this.#feed.check(table);
      if (wrong !== null) this.#differs('the change feed', { arka: wrong, oracle: 'the rows' });
    }
  }

  /**
   * Numbers of sequences have gaps after a crash, and a statement that fails may have drawn some for rows behind the one that was
   * refused: both go on from the same one.
   */
  async #jump(session: string): Promise<void> {
    if (!this.#owesJump) return;
    for (const { name, columns } of this.#sequence.tables) {
      if (!columns.some(isGenerated)) continue;
      const sql = `SELECT setval('${this.#schema}.${name}_g_seq', ${++this.#jumps * 1000})`;
      const answers = [await this.#arka.read(session, sql), await this.#oracle.read(session, sql)];
      // a failed block draws no numbers, and one that only reads fails by this
      if (answers.some(({ error }) => error !== null)) return;
    }
    this.#owesJump = false;
  }

  async #statement(step: { readonly session: string } & Statement): Promise<void> {
    const { session, kind } = step;
    if (this.#waiting.has(session)) return;
    const inBlock = this.#inBlock.has(session);
    // who looks on would wait for the block's end
    if (isDefinition(step) && inBlock && this.#severalSessions) return;
    await this.#enter(session);
    count(this.#report.statements, kind);
    await this.#jump(session);
    const wire = wireStep(step);
    const ours = await this.#arka.run(session, wire);
    if (ours?.error?.['code'] === '0A000') {
      count(this.#report.refused, `${kind}: ${ours.error['message']}`);
      await this.#oracle.run(session, 'SELECT 1 / 0');
    } else {
      const theirs = await this.#oracle.run(session, wire);
      this.#compare(step, wire, ours, theirs);
      if (ours === null) this.#waiting.set(session, step);
      else if (ours.error !== null) {
        count(this.#report.errors, ours.error['code']!);
        this.#owesJump = true;
      }
    }
    const settled = await this.#compareSettled();
    if (ours !== null) this.#noteBlock(session, ours);
    const tables = this.#sequence.tables.filter(({ name }) => step.changes.includes(name));
    if (isAlteration(step)) for (const table of tables) this.#altered.add(table);
    if (isDefinition(step) && inBlock) this.#isDefining = true;
    if (!this.#inBlock.has(session)) {
      this.#isDefining = false;
      for (const table of this.#altered) await this.#feed.begin(table);
      this.#altered.clear();
    }
    await this.#compareTables(this.#waiting.has(session) ? null : session, settled ? this.#sequence.tables : tables);
  }

  #noteBlock(session: string, { status }: Outcome): void {
    if (status === 'I') this.#inBlock.delete(session);
    else this.#inBlock.add(session);
  }

  /** @returns whether one that waited has its answer */
  async #compareSettled(): Promise<boolean> {
    if (this.#waiting.size === 0) return false;
    const ours = await this.#arka.settled();
    const theirs = await this.#oracle.settled();
    for (const [session, statement] of [...this.#waiting]) {
      const [our, their] = [ours.get(session) ?? null, theirs.get(session) ?? null];
      this.#compare({ session, ...statement }, wireStep(statement), our, their);
      if (our === null) continue;
      this.#waiting.delete(session);
      this.#noteBlock(session, our);
      if (our.error !== null) this.#owesJump = true;
    }
    return ours.size > 0;
  }

  #compare(
    step: { readonly session: string } & Statement,
    wire: Step,
    ours: Outcome | null,
    theirs: Outcome | null,
  ): void {
    const [arka, oracle] = [ours, theirs].map((outcome) => (outcome === null ? 'waits' : answerOf(wire, outcome)));
    if (isDeepStrictEqual(arka, oracle)) return;
    const known = knownDifference({ statement: step, ours, theirs, sequence: this.#sequence });
    if (known?.goesOn === false) throw new Left(known.title);
    if (known !== undefined) return count(this.#report.left, `${known.title} (went on)`);
    this.#differs(stepText(step), { arka, oracle }, ours?.error?.['message']);
  }

  async #compareTables(session: string | null, tables: readonly Table[]): Promise<void> {
    if (!this.#severalSessions) return this.#compareReads(session ?? this.#sessions[0]!, tables);
    const inBlock = session !== null && this.#inBlock.has(session);
    if (inBlock) await this.#compareReads(session, tables);
    if (!inBlock || this.#at % 3 === 0) await this.#compareReads('observer', tables);
  }

  async #compareReads(session: string, tables: readonly Table[]): Promise<void> {
    if (session !== 'observer') await this.#enter(session);
    for (const { name } of tables) {
      const sql = `SELECT * FROM ${this.#schema}.${name}`;
      const [ours, theirs] = await Promise.all(
        [this.#arka, this.#oracle].map(async (side) => answerOf(sql, await side.read(session, sql))),
      );
      if (!isDeepStrictEqual(ours, theirs)) this.#differs(`${session} reads ${name}`, { arka: ours, oracle: theirs });
    }
  }

  #differs(what: string, { arka, oracle }: { readonly arka: unknown; readonly oracle: unknown }, message = ''): never {
    throw new DifferenceError(
      [
        `${this.#arka.name} and ${this.#oracle.name} differ: ${what}`,
        scriptText(this.#sequence, this.#at),
        `-- ${this.#arka.name}: ${JSON.stringify(arka)} ${message}`,
        `-- ${this.#oracle.name}: ${JSON.stringify(oracle)}`,
        this.#arka.log().slice(-LOG_SHOWN),
      ].join('\n'),
    );
  }
}

const isDefinition = (step: Statement): boolean =>
  isAlteration(step) || step.kind === 'CREATE TABLE AS' || step.kind === 'definition';
const isAlteration = ({ kind }: Statement): boolean => kind === 'ALTER TABLE' || kind === 'RENAME TABLE';

/** What is compared of an answer: of an error its SQLSTATE. */
function answerOf(step: Step, outcome: Outcome): unknown {
  const { error, status } = outcome;
  return error === null ? comparable(step, outcome) : { error: error['code'], status };
}
