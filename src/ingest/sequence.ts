/**
 * One sequence as main holds it: values are given out at once, from blocks whose mark is in the catalog or on its way there.
 *
 * - N1 No value leaves the server before the catalog holds a mark that covers it: a value beyond the durable mark comes with
 *   the promise of one (`saving`), which the transaction's commit waits for. A crash leaves gaps, never a duplicate (M-5).
 * - N2 The next block is asked for when half of one is left, so that writers seldom wait. When they overtake it, blocks grow.
 * - N3 Values are numbers while they are exact; beyond 2^53 each is worked out as a bigint.
 * - N4 With CACHE above 1 `next` takes as many values at once, or those up to the limit: the session gives them out (`cached`), and
 *   `state` is beyond them, as in PostgreSQL.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { LoggedValues, SequenceDef, SequenceState, StoredSequence } from '../sequence-def.ts';
import { SequenceLog } from './sequence-log.ts';
import type { Transaction } from './transaction.ts';

export type SequenceValue = number | bigint;

const BLOCK_MIN = 1000;
const BLOCK_MAX = 2 ** 20;

export class Sequence {
  def: SequenceDef;
  isDropped = false;
  /** The transaction that has altered it and not ended: nobody else draws from it. */
  heldBy: Transaction | null = null;
  /** What all others see of it meanwhile; null: nobody holds it. */
  committed: StoredSequence | null = null;
  /** How often it was set to another value: numbers drawn before may be given again. */
  moves = 0;
  /** How often it was altered: values that sessions have cached are not given out after it. */
  alterations = 0;
  /** How many values behind the one that `next` gave last were taken with it (N4). */
  cached = 0;
  /** Of the value that `next` or `set` gave last: resolves when it may leave; null: it may now. */
  saving: Promise<void> | null = null;
  readonly #save: (stored: StoredSequence) => Promise<void>;
  #increment = 1n;
  #min = 1n;
  #max = 1n;
  /** The value given out last; the first to be given out while nothing was. */
  #last: bigint;
  #isCalled: boolean;
  /** The mark asked for last. */
  #reserved: bigint;
  /** Values up to a mark are given out as numbers: the next, the step, how many are left, and at how many the next block is asked for. */
  #isFast = false;
  #fastNext = 0;
  #fastStep = 1;
  #fastLeft = 0;
  #fastRenew = 0;
  /** How many there were when it began to. */
  #fastCount = 0;
  #log: SequenceLog;
  #block = BLOCK_MIN;
  /** The newest save, while it is under way. */
  #under: Promise<void> | null = null;
  #saved: Promise<void> = Promise.resolve();

  constructor({ def, state }: StoredSequence, save: (stored: StoredSequence) => Promise<void>) {
    this.#save = save;
    this.def = def;
    this.#takeDef();
    this.#last = BigInt(state.last);
    this.#isCalled = state.isCalled;
    this.#reserved = this.#last;
    this.#log = new SequenceLog(state.logged);
    this.#log.checkpointed();
  }

  #takeDef(): void {
    this.#increment = BigInt(this.def.increment);
    this.#min = BigInt(this.def.min);
    this.#max = BigInt(this.def.max);
  }

  /** How far it has come: what nextval gave last. */
  get state(): SequenceState {
    this.#leaveFast();
    const logged = this.#log.state;
    return { last: String(this.#last), isCalled: this.#isCalled, ...(logged !== undefined && { logged }) };
  }

  /** All that was before is in files. */
  checkpointed(): void {
    this.#leaveFast();
    this.#log.checkpointed();
  }

  /** The next value; `saving` says whether it may leave. @throws {SqlError} 2200H */
  next(): SequenceValue {
    if (this.#fastLeft > 0) {
      const value = this.#fastNext;
      this.#fastNext += this.#fastStep;
      if (--this.#fastLeft === this.#fastRenew) this.#renew();
      return value;
    }
    return this.#slowNext();
  }

  #slowNext(): SequenceValue {
    this.#leaveFast();
    const { cache } = this.def;
    const value = this.#isCalled ? this.#successor(this.#last) : this.#last;
    const rest = this.#rest(value);
    this.cached = rest < BigInt(cache - 1) ? Number(rest) : cache - 1;
    const end = value + this.#increment * BigInt(this.cached);
    const isCovered = this.#isCalled && this.#isUpTo(this.#last, value) && this.#isUpTo(end, this.#reserved);
    if (this.#under !== null) this.#block = Math.min(BLOCK_MAX, this.#block * 2);
    else if (isCovered) this.#block = Math.max(BLOCK_MIN, this.#block / 2);
    if (!isCovered) this.#reserve(end);
    this.#log.fetched(value, cache, rest);
    this.#last = end;
    this.#isCalled = true;
    this.saving = this.#under;
    if (cache === 1) this.#enterFast();
    return exact(value);
  }

  /** @throws {SqlError} 2200H */
  #successor(last: bigint): bigint {
    const value = last + this.#increment;
    const isUp = this.#increment > 0n;
    if (isUp ? value <= this.#max : value >= this.#min) return value;
    if (this.def.cycle) return isUp ? this.#min : this.#max;
    const limit = isUp ? this.#max : this.#min;
    throw new SqlError(
      SqlState.sequenceLimitExceeded,
      `nextval: reached ${isUp ? 'maximum' : 'minimum'} value of sequence "${this.def.name}" (${limit})`,
    );
  }

  /** How many values there are from one up to the limit, without it. */
  #rest(value: bigint): bigint {
    return ((this.#increment > 0n ? this.#max : this.#min) - value) / this.#increment;
  }

  #isUpTo(value: bigint, mark: bigint): boolean {
    return this.#increment > 0n ? value <= mark : value >= mark;
  }

  /** Asks for a mark a block beyond `from`. */
  #reserve(from: bigint): void {
    const end = from + this.#increment * BigInt(this.#block - 1);
    this.#reserved = this.#increment > 0n ? (end > this.#max ? this.#max : end) : end < this.#min ? this.#min : end;
    void this.#store({ last: String(this.#reserved), isCalled: true });
  }

  /** Half of the block is left: the next is asked for; what is left is covered by the mark before. */
  #renew(): void {
    const next = this.#reserved + this.#increment;
    if (this.#under === null && this.#isUpTo(next, this.#increment > 0n ? this.#max : this.#min)) this.#reserve(next);
  }

  /** Saves take turns, so that the last one asked for is the one that stays. */
  #store(state: SequenceState): Promise<void> {
    const { def } = this;
    const saving = this.#saved.catch(() => undefined).then(() => this.#save({ def, state }));
    this.#saved = saving;
    this.#under = saving;
    const ended = (): void => {
      if (this.#under === saving) this.#under = null;
      if (this.saving === saving) this.saving = null;
    };
    saving.then(ended, () => {
      ended();
      this.#leaveFast();
      this.#reserved = this.#last; // the next value asks again
    });
    return saving;
  }

  #enterFast(): void {
    const first = this.#last + this.#increment;
    const count = (this.#reserved - this.#last) / this.#increment;
    if (count <= 0n || !isExact(first) || !isExact(this.#reserved)) return;
    this.#isFast = true;
    this.#fastNext = Number(first);
    this.#fastStep = Number(this.#increment);
    this.#fastLeft = Number(count);
    this.#fastCount = this.#fastLeft;
    this.#fastRenew = this.#fastLeft >> 1;
  }

  #leaveFast(): void {
    if (!this.#isFast) return;
    this.#isFast = false;
    this.#last = BigInt(this.#fastNext) - this.#increment;
    this.#log.ran(this.#fastCount - this.#fastLeft, this.#last, this.#increment, (value) => this.#rest(value));
    this.#fastLeft = 0;
  }

  /** setval. @throws {SqlError} 22003 */
  set(value: bigint, isCalled: boolean): void {
    if (value < this.#min || value > this.#max)
      throw new SqlError(
        SqlState.numericValueOutOfRange,
        `setval: value ${value} is out of bounds for sequence "${this.def.name}" (${this.#min}..${this.#max})`,
      );
    this.#move(value, isCalled, undefined);
    this.saving = this.#under;
  }

  #move(value: bigint, isCalled: boolean, logged: LoggedValues | undefined): void {
    this.moves++;
    this.#log = new SequenceLog(logged);
    this.#isFast = false;
    this.#fastLeft = 0;
    this.#last = value;
    this.#isCalled = isCalled;
    this.#reserved = value;
    void this.#store({ last: String(value), isCalled });
  }

  /** Another definition, and where it goes on; resolves when that is durable. */
  async redefine(def: SequenceDef, state: SequenceState): Promise<void> {
    this.def = def;
    this.#takeDef();
    this.alterations++;
    this.#move(BigInt(state.last), state.isCalled, state.logged);
    await this.#saved;
  }

  get isSaving(): boolean {
    return this.#under !== null;
  }

  /** Resolves when everything asked for is in the catalog. */
  async settled(): Promise<void> {
    await this.#saved;
  }

  /** A clean stop: the catalog has what was given out, and no more. */
  async close(): Promise<void> {
    const { state } = this;
    if (this.isDropped || this.#reserved === this.#last) return this.#saved;
    this.#reserved = this.#last; // should a value be asked for yet, it asks for a mark
    await this.#store(state);
  }
}

const isExact = (value: bigint): boolean => value <= 9_007_199_254_740_991n && value >= -9_007_199_254_740_991n;

export function exact(value: bigint): SequenceValue {
  return isExact(value) ? Number(value) : value;
}
