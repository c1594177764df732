/**
 * A session's portals by name: those that Bind made, and the cursors of DECLARE. They share their names, as in PostgreSQL.
 *
 * - P1 A portal ends with its transaction, or with a rollback to a savepoint that is older than it. A cursor WITH HOLD that its
 *   transaction's commit has kept (`isHeld`) ends with CLOSE, or with the session.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Portal } from '../wire/gateway-api.ts';
import type { SessionPortal } from './portal.ts';

export class SessionPortals {
  /** The protocol's layer puts portals in by name, and takes them out. */
  readonly byName = new Map<string, Portal>();
  /** Portals made so far. */
  made = 0;
  /** There may be cursors that a commit has to keep. */
  #holdable = false;

  *#all(): Generator<[string, SessionPortal]> {
    for (const [name, portal] of this.byName) yield [name, portal as SessionPortal];
  }

  /** @throws {SqlError} 34000 */
  named(name: string): SessionPortal {
    const portal = this.byName.get(name);
    if (portal === undefined) throw new SqlError(SqlState.invalidCursorName, `cursor "${name}" does not exist`);
    return portal as SessionPortal;
  }

  /** @throws {SqlError} 42P03 */
  refuseTaken(name: string): void {
    if (this.byName.has(name)) throw new SqlError(SqlState.duplicateCursor, `cursor "${name}" already exists`);
  }

  declare(name: string, portal: SessionPortal): void {
    this.byName.set(name, portal);
    if (portal.cursor?.isHoldable === true) this.#holdable = true;
  }

  closeNamed(name: string): void {
    const portal = this.named(name);
    this.byName.delete(name);
    portal.close();
  }

  closeAll(): void {
    for (const [, portal] of this.#all()) portal.close();
    this.byName.clear();
  }

  /** The transaction has ended, P1. */
  end(): void {
    if (this.byName.size === 0) return; // each statement of its own comes by here
    this.byName.forEach(this.#endUnlessHeld);
    this.#holdable = false;
  }

  readonly #endUnlessHeld = (portal: Portal, name: string): void => {
    if ((portal as SessionPortal).isHeld) return;
    portal.close();
    this.byName.delete(name);
  };

  /** A rollback to a savepoint, or a failed block. */
  dieFrom(number: number): void {
    for (const [name, portal] of this.#all()) {
      if (portal.number < number || portal.isHeld) continue;
      portal.die();
      this.byName.delete(name);
    }
  }

  /** Before a commit: cursors WITH HOLD read their queries to the end. Null: there is none. */
  hold(): (() => Promise<void>) | null {
    if (!this.#holdable) return null;
    return async () => {
      for (const [, portal] of this.#all())
        if (portal.cursor?.isHoldable === true && !portal.isHeld) await portal.hold();
      this.#holdable = false;
    };
  }

  get isEmpty(): boolean {
    return this.byName.size === 0;
  }

  /** Whether a query of one of them, which is not over, reads the table. */
  read(uuid: string): boolean {
    for (const [, portal] of this.#all()) if (portal.isActive && portal.reads(uuid)) return true;
    return false;
  }

  heldBytes(): number {
    let bytes = 0;
    for (const [, portal] of this.#all()) bytes += portal.heldBytes;
    return bytes;
  }

  /** The session ends; when nothing of them runs. */
  async close(): Promise<void> {
    const ends = [...this.#all()].map(([, portal]) => portal.run?.close() ?? Promise.resolve());
    this.byName.clear();
    await Promise.all(ends);
  }

  /** The cursors, and what Bind made under a name or none. */
  list(): readonly [string, SessionPortal][] {
    return [...this.#all()];
  }
}
