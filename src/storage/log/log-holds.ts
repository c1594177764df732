/**
 * What readers beside the log's thread hold of it, kept on main: `trim` stops before it.
 *
 * A reader that begins in the middle of a transaction needs it from its first frame on, and that may lie a segment or more
 * before; so a hold is of whole segments, from one that begins with a transaction.
 */
import type { Lsn } from '../../table-def.ts';
import type { LogHold, LogPlace } from './log-api.ts';
import type { Segment } from './log-reader.ts';

class Hold implements LogHold {
  /** As asked for. */
  from: Lsn;
  valid = true;
  /** No trim that did not know of it is under way. */
  settled = false;
  readonly #owner: LogHolds;

  constructor(owner: LogHolds, from: Lsn) {
    this.#owner = owner;
    this.from = from;
  }

  get place(): LogPlace {
    const { segments, ...place } = this.#owner.place();
    return { ...place, segments: segments.slice(firstNeeded(segments, this.from)) };
  }

  advance(from: Lsn): void {
    this.from = from;
  }

  release(): void {
    this.#owner.remove(this);
  }
}

export class LogHolds {
  readonly place: () => LogPlace;
  readonly #held = new Set<Hold>();

  constructor(place: () => LogPlace) {
    this.place = place;
  }

  /** Nothing at or after it may be trimmed. */
  get from(): Lsn {
    let from: Lsn = Infinity;
    for (const hold of this.#held) from = Math.min(from, hold.from);
    return from === Infinity ? Infinity : this.#startOf(from);
  }

  add(from: Lsn): Hold {
    const hold = new Hold(this, from);
    this.#held.add(hold);
    return hold;
  }

  /** Whether what is held already reaches back so far. */
  covers(from: Lsn): boolean {
    const start = this.#startOf(from);
    for (const hold of this.#held) if (hold.settled && this.#startOf(hold.from) <= start) return true;
    return false;
  }

  remove(hold: Hold): void {
    this.#held.delete(hold);
  }

  giveUp(to: Lsn): void {
    for (const hold of this.#held) {
      if (this.#startOf(hold.from) >= to) continue;
      hold.valid = false;
      this.#held.delete(hold);
    }
  }

  #startOf(from: Lsn): Lsn {
    const { segments } = this.place();
    return Math.min(from, segments[firstNeeded(segments, from)]?.header.firstLsn ?? 0);
  }
}

/** The segment where the transaction with this LSN begins, or the first: what it began in may be gone. */
export function firstNeeded(segments: readonly Segment[], lsn: Lsn): number {
  let index = segments.findLastIndex(({ header }) => header.firstLsn <= lsn);
  while (index > 0 && segments[index]!.header.inside) index--;
  return Math.max(0, index);
}
