/**
 * Requests and answers over a MessagePort: how main talks to its threads. Each thread's API is a plain object
 * of functions; both ends share its type. Errors cross as data and come back as `SqlError`.
 *
 * Messages name (slab, offset, length) or carry transferred buffers, never row objects.
 *
 * - R1 Every call settles: also one that is under way when its thread ends, whoever ended it, or that comes after.
 */
import type { MessagePort, Transferable, Worker } from 'node:worker_threads';
import { packError, SqlError, SqlState, unpackError, type WireError } from './errors.ts';
import { collectGarbage } from './thread-heap.ts';
import { wasmMemories, type WasmMemory } from './wasm-memory.ts';

/** A thread's functions: one argument in, one result out, both structured-cloneable. */
// eslint-disable-next-line typescript/no-explicit-any -- the argument and result types come from each API
export type Api = Record<string, (argument: any) => any>;

/** A result whose buffers move instead of being copied. */
export class Transfer<T> {
  readonly value: T;
  readonly list: readonly Transferable[];
  constructor(value: T, list: readonly Transferable[]) {
    this.value = value;
    this.list = list;
  }
}

type Unwrapped<R> = Awaited<R> extends Transfer<infer T> ? T : Awaited<R>;
/** The caller's side of an API: every function returns a promise. */
export type Remote<A extends Api> = {
  readonly [K in keyof A]: (
    argument: Parameters<A[K]>[0],
    transfer?: readonly Transferable[],
  ) => Promise<Unwrapped<ReturnType<A[K]>>>;
};

interface Request {
  readonly id: number;
  readonly method: string;
  readonly argument: unknown;
}
interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: WireError;
}

/** What every thread answers. */
export type ThreadApi = {
  collectGarbage(argument: null): Promise<void>;
  /** Of the whole process. */
  wasmMemories(argument: null): Promise<readonly WasmMemory[]>;
};

const EVERY_THREAD: ThreadApi = {
  collectGarbage: async () => collectGarbage(),
  wasmMemories: async () => wasmMemories(),
};

/** Serves `api` on a port. Calls run side by side; an API that needs a lane keeps its own. */
export function serve(port: MessagePort, api: Api): void {
  const whole = { ...EVERY_THREAD, ...api };
  port.on('message', (request: Request) => void answer(port, whole, request));
}

async function answer(port: MessagePort, api: Api, request: Request): Promise<void> {
  try {
    const result: unknown = await api[request.method]!(request.argument);
    if (result instanceof Transfer)
      port.postMessage({ id: request.id, value: result.value } satisfies Answer, result.list);
    else port.postMessage({ id: request.id, value: result } satisfies Answer);
  } catch (error) {
    port.postMessage({ id: request.id, error: packError(error) } satisfies Answer);
  }
}

/** Calls an API served on the other end. `name` is the thread's, for the error of R1. */
export class RpcClient<A extends Api> {
  readonly remote: Remote<A>;
  readonly #port: MessagePort | Worker;
  readonly #waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #nextId = 1;
  #failed: Error | null = null;

  constructor(port: MessagePort | Worker, name: string) {
    this.#port = port;
    const listen = (message: Answer): void => {
      const waiter = this.#waiting.get(message.id);
      if (waiter === undefined) return;
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiter.resolve(message.value);
      else waiter.reject(unpackError(message.error));
    };
    const events = port as MessagePort & Worker; // one of both; each says its end in its own way
    let problem: unknown;
    events.on('message', listen);
    events.on('error', (error: unknown) => (problem = error));
    const ended = (): void =>
      this.fail(new SqlError(SqlState.adminShutdown, `the thread "${name}" has ended`, { cause: problem }));
    events.on('exit', ended);
    events.on('close', ended);
    // Which call it answers is not known.
    events.on('messageerror', (error: Error) =>
      this.fail(
        new SqlError(SqlState.internalError, `an answer of the thread "${name}" cannot be read`, { cause: error }),
      ),
    );
    this.remote = new Proxy({} as Remote<A>, {
      get: (_, method: string) => (argument: unknown, transfer?: readonly Transferable[]) =>
        this.#call(method, argument, transfer),
    });
  }

  /** Rejects everything under way and everything later; the first reason stays. */
  fail(error: Error): void {
    this.#failed ??= error;
    for (const waiter of this.#waiting.values()) waiter.reject(this.#failed);
    this.#waiting.clear();
  }

  #call(method: string, argument: unknown, transfer?: readonly Transferable[]): Promise<unknown> {
    if (this.#failed !== null) return Promise.reject(this.#failed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#port.postMessage({ id, method, argument } satisfies Request, transfer as Transferable[]); // may throw
      this.#waiting.set(id, { resolve, reject });
    });
  }
}
