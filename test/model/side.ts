/**
 * One server of the two: its sessions, which of them wait, and what is in the tables.
 *
 * Statements are begun and then settled: answered, or waiting for another session. Who waits is left to itself until another session has
 * done something.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Outcome, Session, Step } from '../differential/wire.ts';

interface Running {
  readonly answer: Promise<Outcome>;
  outcome: Outcome | null;
}

/** Long enough for PostgreSQL to have looked for a deadlock (deadlock_timeout is 1 ms). */
const DEADLOCK_MS = 8;
const STUCK_MS = 40_000;
const PATIENCE_MS_MAX = 256;

export class Side {
  readonly name: string;
  readonly #open: (session: string) => Promise<Session>;
  readonly #sessions = new Map<string, Session>();
  readonly #running = new Map<string, Running>();

  /** @param open a session of that name; `observer` looks on */
  constructor(name: string, open: (session: string) => Promise<Session>) {
    this.name = name;
    this.#open = open;
  }

  async session(name: string): Promise<Session> {
    const known = this.#sessions.get(name) ?? (await this.#open(name));
    this.#sessions.set(name, known);
    return known;
  }

  async observe(step: Step): Promise<Outcome> {
    return this.read('observer', step);
  }

  /** What no other session may be in the way of. */
  async read(name: string, step: Step): Promise<Outcome> {
    const session = await this.session(name);
    const text = typeof step === 'string' ? step : step.sql;
    const stuck = sleep(STUCK_MS, null, { ref: false }).then(() => {
      throw new Error(`${this.name}: session ${name} has no answer to ${text}`);
    });
    return Promise.race([session.run(step), stuck]);
  }

  isWaiting(session: string): boolean {
    return this.#running.has(session);
  }

  get waiting(): readonly string[] {
    return [...this.#running.keys()];
  }

  /** What it says, or null: it waits for another session. */
  async run(name: string, step: Step): Promise<Outcome | null> {
    const session = await this.session(name);
    const running: Running = {
      answer: session.run(step).then((outcome) => (running.outcome = outcome)),
      outcome: null,
    };
    running.answer.catch(() => {});
    this.#running.set(name, running);
    await this.#settle(name, running);
    return this.#take(name);
  }

  /** Those that waited and have their answer now. */
  async settled(): Promise<ReadonlyMap<string, Outcome>> {
    const answered = new Map<string, Outcome>();
    for (let again = true; again;) {
      again = false;
      for (const [name, running] of [...this.#running]) {
        await this.#settle(name, running);
        const outcome = this.#take(name);
        if (outcome === null) continue;
        answered.set(name, outcome);
        again = true;
      }
    }
    return answered;
  }

  #take(name: string): Outcome | null {
    const outcome = this.#running.get(name)!.outcome;
    if (outcome !== null) this.#running.delete(name);
    return outcome;
  }

  async #settle(name: string, running: Running): Promise<void> {
    const session = await this.session(name);
    if (session.pid === 0) return void (await running.answer);
    await Promise.race([running.answer, sleep(20)]);
    const begin = Date.now();
    // asking costs more than many a statement: a slow machine is asked seldom
    let patienceMs = 4;
    for (let blocked = 0; running.outcome === null && blocked < 2;) {
      const { rows } = await this.observe(`SELECT cardinality(pg_blocking_pids(${session.pid}))`);
      blocked = rows[0]?.[0] === '0' ? 0 : blocked + 1;
      patienceMs = Math.min(patienceMs * 2, PATIENCE_MS_MAX);
      await Promise.race([running.answer, sleep(blocked === 1 ? DEADLOCK_MS : patienceMs)]);
      if (Date.now() - begin > STUCK_MS) throw new Error(`${this.name}: session ${name} neither answers nor waits`);
    }
  }

  /** Ends all sessions but the observer: those that wait first, so that none goes on because another was ended. */
  async forget(): Promise<void> {
    const closing: Promise<void>[] = [];
    for (const name of [...this.#running.keys(), ...this.#sessions.keys()]) {
      const session = this.#sessions.get(name);
      if (session === undefined || name === 'observer') continue;
      this.#sessions.delete(name);
      const waits = this.#running.get(name);
      if (waits !== undefined) {
        await this.observe(`SELECT pg_terminate_backend(${session.pid})`);
        closing.push(
          waits.answer.then(
            () => session.close(),
            () => {},
          ),
        );
        this.#running.delete(name);
      } else closing.push(session.close());
    }
    await Promise.all(closing);
  }

  /** The server is gone, its sessions with it. */
  lost(): void {
    this.#sessions.clear();
    this.#running.clear();
  }
}
