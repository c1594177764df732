/**
 * The catalog as main sees it: starts the worker at the first need, keeps it up to date, ends it when idle.
 *
 * - L1 One request at a time goes to the worker (PGlite is one session); the others wait here. So a worker that is ended,
 *   by a deadline, a cancel or a crash, takes one request with it, and the rest go to the next worker.
 * - L2 A request runs against the contents set before it was made or later ones (M-7): `setContents` only remembers, and
 *   `mirror` is sent before the next request.
 * - L3 Descriptions are cached by (text, parameter OIDs, search_path) for one generation of the contents; what is temporary concerns
 *   those alone whose search_path leads there.
 * - L4 A transaction that has defined something asks against contents of its own: the worker changes over for its requests.
 * PGlite cannot be interrupted: WebAssembly runs to its end. Ending the worker is the only way to cancel.
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../clock.ts';
import { SqlError, SqlState } from '../errors.ts';
import { RpcClient, type Remote } from '../rpc.ts';
import { heapBytesOf } from '../thread-heap.ts';
import { isTemporarySchema } from '../table-def.ts';
import { workerUrl } from '../worker-url.ts';
import type {
  CatalogApi,
  CatalogContents,
  CatalogQuery,
  CatalogResult,
  Description,
  SessionContext,
  TrialRequest,
  TrialResult,
} from './catalog-api.ts';
import { catalogImage } from './image.ts';

export interface CatalogClientOptions {
  readonly clock: Clock;
  readonly image?: URL;
  /** The worker ends after so long without a request. */
  readonly idleMs?: number;
  /** A statement that runs longer ends with 57014, and the worker with it. */
  readonly deadlineMs?: number;
  /** Waited for before a worker starts: it takes 130 MB. */
  readonly room?: () => Promise<void>;
  /** Told when the worker crashed or a definition could not be mirrored: for the server's log. */
  readonly onProblem?: (problem: string, error: unknown) => void;
}

export interface DescribeRequest {
  readonly sql: string;
  readonly parameterOids: readonly number[];
  readonly context: SessionContext;
}

/** What a session asks. */
export interface Catalog {
  describe(request: DescribeRequest, signal?: AbortSignal): Promise<Description>;
  query(request: CatalogQuery, signal?: AbortSignal): Promise<CatalogResult>;
  trial(request: TrialRequest, signal?: AbortSignal): Promise<TrialResult>;
}

const CACHE_ENTRIES_MAX = 1_000;
/** Longer texts (INSERT … VALUES of many rows) seldom come again and would make the cache large. */
const CACHE_TEXT_MAX = 16_384;
/**
 * V8's heap only: PGlite's memory and files are outside it. PostgreSQL refuses deep statements at its max_stack_depth
 * of 2 MB (54001); WebAssembly frames take more of the thread's stack than that, and running out of it is a lost session.
 */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 160, maxYoungGenerationSizeMb: 16, stackSizeMb: 16 };

interface Job {
  /** Null: those of all. */
  readonly contents: CatalogContents | null;
  readonly run: (remote: Remote<CatalogApi>) => Promise<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

interface Running {
  readonly worker: Worker;
  readonly rpc: RpcClient<CatalogApi>;
  opened: boolean;
  /** What it was told last. */
  mirrored: CatalogContents | null;
}

export class CatalogClient implements Catalog {
  readonly #options: CatalogClientOptions;
  readonly #cache = new Map<string, Description>();
  readonly #jobs: Job[] = [];
  #contents: CatalogContents = { schemas: [], tables: [], sequences: [] };
  #generation = 1;
  #running: Running | null = null;
  #busy: Job | null = null;
  #idle: () => void = () => undefined;
  #idleSince = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: CatalogClientOptions) {
    this.#options = options;
  }

  get running(): boolean {
    return this.#running !== null;
  }

  /** The definitions from now on. Cheap: the worker hears of them before its next request. */
  setContents(contents: CatalogContents): void {
    const before = this.#contents;
    this.#contents = contents;
    this.#generation++;
    if (!isSameLasting(before, contents)) this.#cache.clear();
    else for (const key of [...this.#cache.keys()]) if (looksInTemporary(key)) this.#cache.delete(key);
  }

  /** A description from the cache, or undefined. */
  described(request: DescribeRequest): Description | undefined {
    const key = cacheKey(request);
    const known = this.#cache.get(key);
    if (known === undefined) return undefined;
    this.#cache.delete(key); // the map's order is that of the last use
    this.#cache.set(key, known);
    return known;
  }

  async describe(request: DescribeRequest, signal?: AbortSignal): Promise<Description> {
    const known = this.described(request);
    if (known !== undefined) return known;
    const { sql, parameterOids, context } = request;
    let generation = 0;
    const description = await this.#enqueue(
      (remote) => {
        generation = this.#generation;
        return remote.describe({ sql, parameterOids, context });
      },
      signal,
      null,
      true,
    );
    if (generation === this.#generation && sql.length <= CACHE_TEXT_MAX) this.#remember(cacheKey(request), description);
    return description;
  }

  query(request: CatalogQuery, signal?: AbortSignal): Promise<CatalogResult> {
    return this.#enqueue((remote) => remote.query(request), signal);
  }

  trial(request: TrialRequest, signal?: AbortSignal): Promise<TrialResult> {
    return this.#enqueue((remote) => remote.trial(request), signal);
  }

  /** The catalog with other contents (L4). */
  holding(contents: CatalogContents): Catalog {
    return {
      describe: (request, signal) => this.#enqueue((remote) => remote.describe(request), signal, contents, true),
      query: (request, signal) => this.#enqueue((remote) => remote.query(request), signal, contents),
      trial: (request, signal) => this.#enqueue((remote) => remote.trial(request), signal, contents),
    };
  }

  /** For the memory guard: ends the worker unless it has worked in the last `idleMs`. Answers whether there is none now. */
  stopIfIdle(idleMs = 0): boolean {
    const isIdle = this.#busy === null && this.#jobs.length === 0;
    if (isIdle && this.#options.clock.monotonic() - this.#idleSince >= idleMs) this.#stop();
    return this.#running === null;
  }

  /** What its JavaScript and PGlite hold; 0 while there is no worker. */
  async heapBytes(): Promise<number> {
    const { worker } = this.#running ?? {};
    return worker === undefined ? 0 : heapBytesOf(worker).catch(() => 0); // it may end meanwhile
  }

  async close(): Promise<void> {
    this.#closed = true;
    const gone = new SqlError(SqlState.adminShutdown, 'terminating connection due to administrator command');
    for (const job of this.#jobs.splice(0)) job.reject(gone);
    const worker = this.#running?.worker;
    this.#stop(gone);
    await worker?.terminate();
  }

  #remember(key: string, description: Description): void {
    this.#cache.set(key, description);
    if (this.#cache.size <= CACHE_ENTRIES_MAX) return;
    for (const oldest of this.#cache.keys()) {
      this.#cache.delete(oldest);
      break;
    }
  }

  #enqueue<T>(
    run: (remote: Remote<CatalogApi>) => Promise<T>,
    signal: AbortSignal | undefined,
    contents: CatalogContents | null = null,
    isShort = false,
  ): Promise<T> {
    if (this.#closed) return Promise.reject(new SqlError(SqlState.adminShutdown, 'the server is shutting down'));
    if (signal?.aborted === true) return Promise.reject(canceled('user request'));
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const job: Job = { contents, run, resolve, reject };
    const abort = (): void => this.#cancel(job, 'user request', isShort);
    signal?.addEventListener('abort', abort, { once: true });
    this.#jobs.push(job);
    this.#idle();
    void this.#pump();
    return promise.finally(() => signal?.removeEventListener('abort', abort));
  }

  /** @param isShort what runs, or is about to, soon ends by itself: the worker stays */
  #cancel(job: Job, why: string, isShort = false): void {
    const at = this.#jobs.indexOf(job);
    if (at >= 0) this.#jobs.splice(at, 1);
    job.reject(canceled(why)); // first, so that the end of the worker says nothing to it
    if (this.#busy === job && !isShort) this.#stop(canceled(why));
  }

  async #pump(): Promise<void> {
    if (this.#busy !== null) return;
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) {
      this.#busy = job;
      try {
        const { rpc } = await this.#ready(job.contents);
        job.resolve((await this.#timed(job, rpc)) as never);
      } catch (error) {
        job.reject(error as Error);
      }
      this.#busy = null;
    }
    this.#idleSince = this.#options.clock.monotonic();
    if (this.#running !== null)
      this.#idle = this.#options.clock.after(this.#options.idleMs ?? 300_000, () => void this.stopIfIdle());
  }

  async #timed(job: Job, rpc: RpcClient<CatalogApi>): Promise<unknown> {
    const done = this.#options.clock.after(this.#options.deadlineMs ?? 60_000, () =>
      this.#cancel(job, 'statement timeout'),
    );
    try {
      return await job.run(rpc.remote);
    } finally {
      done();
    }
  }

  /** A worker that has the contents, null: the newest. A definition that cannot be mirrored does not keep the others from being used. */
  async #ready(contents: CatalogContents | null): Promise<Running> {
    if (this.#running === null) await this.#options.room?.();
    const running = (this.#running ??= this.#start());
    if (!running.opened) await this.#open(running);
    for (let wanted; running.mirrored !== (wanted = contents ?? this.#contents);) {
      try {
        await running.rpc.remote.mirror(wanted);
      } catch (error) {
        if (this.#running !== running) throw error;
        this.#options.onProblem?.('a definition could not be mirrored', error);
      }
      running.mirrored = wanted;
    }
    return running;
  }

  async #open(running: Running): Promise<void> {
    try {
      await running.rpc.remote.open({ schemas: [], tables: [], sequences: [] });
      running.opened = true;
    } catch (error) {
      if (this.#running === running) this.#stop();
      throw error;
    }
  }

  #start(): Running {
    const image = (this.#options.image ?? catalogImage).href;
    const worker = new Worker(workerUrl('../threads/catalog', import.meta.url), {
      name: 'catalog',
      workerData: { image },
      resourceLimits: RESOURCE_LIMITS,
    });
    const running: Running = {
      worker,
      rpc: new RpcClient<CatalogApi>(worker, 'catalog'),
      opened: false,
      mirrored: null,
    };
    let problem: unknown = null;
    worker.on('error', (error) => (problem = error));
    worker.on('exit', () => {
      if (this.#running !== running) return;
      this.#options.onProblem?.('the catalog worker ended', problem);
      this.#stop(
        new SqlError(SqlState.adminShutdown, 'the catalog session ended while it ran the statement', {
          cause: problem,
        }),
      );
    });
    return running;
  }

  /** Ends the worker; `error` is for the request under way. */
  #stop(error: Error = new SqlError(SqlState.adminShutdown, 'the catalog worker was stopped')): void {
    this.#idle();
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.rpc.fail(error);
    void running.worker.terminate();
  }
}

function canceled(why: string): SqlError {
  return new SqlError(SqlState.queryCanceled, `canceling statement due to ${why}`);
}

/** Whether all but what is temporary is as it was. */
function isSameLasting(a: CatalogContents, b: CatalogContents): boolean {
  const isLasting = ({ schema }: { readonly schema: string }): boolean => !isTemporarySchema(schema);
  const lasting = ({
    comments = [],
    roles,
    schemas,
    sequences = [],
    tables,
    views = [],
  }: CatalogContents): unknown[] => [
    roles,
    ...comments.flat(),
    ...schemas.filter((schema) => !isTemporarySchema(schema)),
    ...[...tables, ...sequences, ...views].filter(isLasting),
  ];
  const [before, after] = [lasting(a), lasting(b)];
  return before.length === after.length && before.every((each, i) => each === after[i]);
}

/** By its search path. */
const looksInTemporary = (key: string): boolean => key.slice(0, key.indexOf('\0\0')).includes('\0pg_temp_');

function cacheKey(request: DescribeRequest): string {
  return `${request.parameterOids.join()}\0${request.context.searchPath.join('\0')}\0\0${request.sql}`;
}
