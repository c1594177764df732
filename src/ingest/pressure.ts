/**
 * Back-pressure: how short the server is of what writes need, as one zone, and what writers do about it.
 *
 * A signal is a usage against its own marks: memory, the log's size, the disk. The worst one counts.
 * - B1 green: nothing. yellow: each session's writes are slowed, by DELAY_MS_PER_PERCENT above the mark, at most
 *   DELAY_MS_MAX; red: writes wait while what can be freed is freed, and are refused after WAIT_MS.
 * - B2 The delay is charged per turn of input or CHARGE_BYTES of it, whichever is more, and nobody but the session waits:
 *   its socket is paused, so 500 statements of one read pay by their bytes, not 500 times (M-11).
 * - B3 A debt is forgiven when the zone is green again.
 * Asked for by every write, so usage comes from running counters.
 */
import type { Clock } from '../clock.ts';
import type { SqlError } from '../errors.ts';

export type Zone = 'green' | 'yellow' | 'red';

export interface Marks {
  /** Shares of the budget: from here on slower, from there on not at all. */
  readonly yellow: number;
  readonly red: number;
}

/** Something that can run short. */
export interface Signal {
  /** For arka.memory and messages: `memory`, `wal`, `disk`. */
  readonly reason: string;
  readonly marks: Marks;
  usage(): number;
  /**
   * Red: frees what can be freed; called again and again while writers wait.
   * @param waitedMs how long they have waited
   * @returns false when waiting for longer is of no use
   */
  relieve(waitedMs: number): Promise<boolean>;
  /** What a writer is told that has waited in vain. */
  refused(): SqlError;
}

export interface PressureState {
  readonly zone: Zone;
  /** The signal that is worst; empty while green. */
  readonly reason: string;
  readonly delayMs: number;
}

export const CHARGE_BYTES = 64 * 1024;
export const DELAY_MS_PER_PERCENT = 5;
export const DELAY_MS_MAX = 100;
const WAIT_MS = 30_000;
const LOOK_MS = 20;
const TELL_MS = 100;
const GREEN: PressureState = { zone: 'green', reason: '', delayMs: 0 };

export function zoneOf(usage: number, { yellow, red }: Marks): Zone {
  return usage < yellow ? 'green' : usage < red ? 'yellow' : 'red';
}

/** (usage − yellow) in percent × 5 ms, at most 100 ms. */
export function delayOf(usage: number, { yellow }: Marks): number {
  return Math.min(DELAY_MS_MAX, Math.max(0, (usage - yellow) * 100 * DELAY_MS_PER_PERCENT));
}

/** Delays that a turn of input has to pay. */
export function chargesFor(bytes: number): number {
  return Math.max(1, Math.floor(bytes / CHARGE_BYTES));
}

const RANK: Readonly<Record<Zone, number>> = { green: 0, yellow: 1, red: 2 };

export class Pressure {
  readonly #owner: { readonly clock: Clock };
  readonly #signals: Signal[] = [];
  /** Told of a session that pays, now and then: what moves rows on by itself should look at once. */
  onYellow: () => void = () => {};
  #toldAt = Number.NEGATIVE_INFINITY;
  readonly #relieving = new Map<Signal, Promise<boolean>>();

  constructor(owner: { readonly clock: Clock }) {
    this.#owner = owner;
  }

  /** From now on the signal counts, too. */
  join(signal: Signal): void {
    this.#signals.push(signal);
  }

  get state(): PressureState {
    let worst = GREEN;
    for (const signal of this.#signals) {
      const { reason, marks } = signal;
      const used = signal.usage();
      const zone = zoneOf(used, marks);
      if (zone === 'green') continue;
      const delayMs = delayOf(used, marks);
      if (RANK[zone] > RANK[worst.zone] || (zone === worst.zone && delayMs > worst.delayMs))
        worst = { zone, reason, delayMs };
    }
    return worst;
  }

  /** Writes have to wait now. */
  get red(): boolean {
    return this.#red() !== undefined;
  }

  #red(): Signal | undefined {
    return this.#signals.find((signal) => signal.usage() >= signal.marks.red);
  }

  /** A writer's turn: while red it waits, unless nobody does any more. @throws {SqlError} what the signal says, after 30 s or when there is no hope */
  async admit(isOver: () => boolean = () => false): Promise<void> {
    const started = this.#owner.clock.monotonic();
    for (let signal = this.#red(); signal !== undefined; signal = this.#red()) {
      const waited = this.#owner.clock.monotonic() - started;
      const hope = await this.#relieve(signal, waited);
      if (isOver()) return;
      if (signal.usage() < signal.marks.red) continue;
      if (!hope || this.#owner.clock.monotonic() - started > WAIT_MS) throw signal.refused();
      await this.#sleep(LOOK_MS);
    }
  }

  /** One at a time for all that wait; of those, only one learns that there is no hope, and the others look again. */
  #relieve(signal: Signal, waitedMs: number): Promise<boolean> {
    const under = this.#relieving.get(signal);
    if (under !== undefined) return under.then(() => true);
    const relieving = signal.relieve(waitedMs).finally(() => this.#relieving.delete(signal));
    this.#relieving.set(signal, relieving);
    return relieving;
  }

  /** B2. What a session that has written owes for a turn of so many bytes; null: nothing. */
  charge(bytes: number): Promise<void> | null {
    if (this.state.delayMs < 1) return null;
    const now = this.#owner.clock.monotonic();
    if (now - this.#toldAt >= TELL_MS) {
      this.#toldAt = now;
      this.onYellow();
    }
    return this.#pay(chargesFor(bytes));
  }

  async #pay(charges: number): Promise<void> {
    for (let left = charges; left > 0; left--) {
      const { delayMs } = this.state;
      if (delayMs < 1) return; // B3
      await this.#sleep(delayMs);
    }
  }

  #sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.#owner.clock.after(milliseconds, resolve));
  }
}
