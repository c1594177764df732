/**
 * Transactions of one SQLite file that are asked for in the same turn share one COMMIT, which costs four fsyncs however much it
 * holds: tables that are flushed or committed side by side do not queue for the disk one after another.
 *
 * - G1 Each piece of work is whole or not there: one that throws is taken back alone, and its caller alone hears of it.
 * - G2 When the COMMIT fails every caller hears of it; as with a COMMIT of its own, its work may have taken place.
 * - G3 A piece of work is synchronous: nothing of others comes between its statements.
 */
import type { DatabaseSync } from 'node:sqlite';

interface Piece {
  readonly run: () => void;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class GroupedCommits {
  readonly #db: DatabaseSync;
  #waiting: Piece[] = [];

  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /** Resolves when `work` is durable. @throws what `work` throws, or COMMIT */
  add<T>(work: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let result: T;
      const run = (): void => void (result = work());
      this.#waiting.push({ run, done: () => resolve(result), failed: reject });
      if (this.#waiting.length === 1) setImmediate(() => this.#commit());
    });
  }

  #commit(): void {
    const pieces = this.#waiting;
    this.#waiting = [];
    const db = this.#db;
    const whole: Piece[] = [];
    try {
      db.exec('BEGIN IMMEDIATE');
      for (const piece of pieces) if (this.#runAlone(piece)) whole.push(piece);
      db.exec('COMMIT');
    } catch (error) {
      try {
        if (db.isTransaction) db.exec('ROLLBACK');
      } catch {
        // The next BEGIN says it.
      }
      for (const piece of pieces) piece.failed(error); // those that have failed before have heard why
      return;
    }
    for (const piece of whole) piece.done();
  }

  /** G1. @throws when the database has given the whole transaction up */
  #runAlone(piece: Piece): boolean {
    const db = this.#db;
    db.exec('SAVEPOINT piece');
    try {
      piece.run();
    } catch (error) {
      if (!db.isTransaction) throw error;
      piece.failed(error);
      db.exec('ROLLBACK TO piece');
      db.exec('RELEASE piece');
      return false;
    }
    db.exec('RELEASE piece');
    return true;
  }
}
