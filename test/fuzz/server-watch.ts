/** A server under fuzz: what it must not do, looked at from outside. */
import { readFileSync } from 'node:fs';
import { startServer, type ServerProcess } from '../process/server-process.ts';

/** RSS that may come from heaps and caches that fill up to their size. */
const GROWTH_BYTES_MAX = 200 * 2 ** 20;

export class WatchedServer implements AsyncDisposable {
  readonly server: ServerProcess;
  readonly #ended: Promise<string>;
  #exit: string | null = null;
  /** Bytes of memory, once a second. */
  readonly #samples: number[] = [];
  readonly #timer: NodeJS.Timeout;

  private constructor(server: ServerProcess) {
    this.server = server;
    this.#ended = server.exited.then(({ code, signal }) => (this.#exit = `it ended with ${code ?? signal}`));
    this.#timer = setInterval(() => this.#sample(), 1000);
  }

  static async start(settings: Readonly<Record<string, string | number>> = {}): Promise<WatchedServer> {
    return new WatchedServer(await startServer({ built: true, settings: { 'memory.limit': '1GB', ...settings } }));
  }

  #sample(): void {
    try {
      const pages = Number(readFileSync(`/proc/${this.server.pid}/statm`, 'utf8').split(' ')[1]);
      this.#samples.push(pages * 4096);
    } catch {
      // another system, or it has ended
    }
  }

  get isOver(): boolean {
    return this.#exit !== null;
  }

  /** What it did that it must not; empty: nothing. */
  verdict(): string[] {
    const found: string[] = [];
    if (this.#exit !== null) found.push(this.#exit);
    const strangers = this.server
      .stderr()
      .split('\n')
      .filter((line) => line !== '');
    const distinct = new Map<string, number>();
    for (const line of strangers) {
      const known = line
        .replaceAll(/"time":\d+/g, '')
        .replaceAll(/\d+/g, 'N')
        .slice(0, 600);
      distinct.set(known, (distinct.get(known) ?? 0) + 1);
    }
    for (const [line, count] of distinct) found.push(`${count} × ${line}`);
    const growth = this.growth();
    if (growth > GROWTH_BYTES_MAX) found.push(`memory grew by ${growth >> 20} MB from the first third to the last`);
    return found;
  }

  /** The least that it had in the last third of the time, over the least in the first. */
  growth(): number {
    const third = Math.floor(this.#samples.length / 3);
    if (third < 5) return 0;
    return Math.min(...this.#samples.slice(-third)) - Math.min(...this.#samples.slice(5, third + 5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.server[Symbol.asyncDispose]();
    await this.#ended;
  }
}
