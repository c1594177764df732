/**
 * The engine as main calls it, with every file that a request names made local first: what lies in a remote warehouse
 * only is fetched into the disk cache before DuckDB opens it, and stays there while the request runs.
 *
 * - E1 Any request with `file`, `files`, `deleteFiles`, `scans` or paths waits here, on main and asynchronously, for what is missing. The caller's
 *   pin is held meanwhile, also while files are looked at that were not since the start (`src/storage/disk/sound-files.ts`). A cursor keeps its files until its end; `close` ends the waiting as well (57014).
 */
import { canceled } from '../errors.ts';
import type { Api, Remote } from '../rpc.ts';
import type { DiskCache, WantedFile } from '../storage/disk/disk-cache.ts';
import type { EngineApi, QueryRequest } from './engine-api.ts';

interface Opened {
  readonly abort: AbortController;
  release: () => void;
}

export function withColdFiles(engine: Remote<EngineApi>, cache: DiskCache): Remote<EngineApi> {
  const cursors = new Map<number, Opened>();
  const end = (cursor: number): void => {
    cursors.get(cursor)?.release();
    cursors.delete(cursor);
  };
  const query = async (request: QueryRequest): ReturnType<Remote<EngineApi>['query']> => {
    const files = request.scans.flatMap((scan) => scan.files);
    const checked = cache.concerns(files) ? null : cache.check(files);
    if (checked === null && !cache.concerns(files)) return engine.query(request);
    const opened: Opened = { abort: new AbortController(), release: () => {} };
    cursors.set(request.cursor, opened);
    try {
      if (checked === null) opened.release = await cache.lease(files, opened.abort.signal);
      await (checked ?? cache.check(files));
      if (opened.abort.signal.aborted) throw canceled();
      return await engine.query(request);
    } catch (error) {
      end(request.cursor);
      throw error;
    }
  };
  const next = async (cursor: number): ReturnType<Remote<EngineApi>['next']> => {
    try {
      const chunk = await engine.next(cursor);
      if (chunk.done) end(cursor);
      return chunk;
    } catch (error) {
      end(cursor);
      throw error;
    }
  };
  const close = async (cursor: number): Promise<void> => {
    cursors.get(cursor)?.abort.abort();
    await engine.close(cursor);
    end(cursor);
  };
  const own: Partial<Record<keyof EngineApi, unknown>> = { query, next, close };
  return new Proxy(engine, {
    get: (_, method: keyof EngineApi) => own[method] ?? leased(engine as Remote<Api>, method, cache),
  });
}

/** A call that holds the files it names until it is answered. */
function leased(engine: Remote<Api>, method: string, cache: DiskCache): Remote<Api>[string] {
  return async (argument: unknown, transfer) => {
    const files = filesOf(argument);
    if (files.length === 0) return engine[method]!(argument, transfer);
    if (!cache.concerns(files)) {
      await cache.check(files);
      return engine[method]!(argument, transfer);
    }
    const release = await cache.lease(files);
    try {
      await cache.check(files);
      return await engine[method]!(argument, transfer);
    } finally {
      release();
    }
  };
}

function filesOf(argument: unknown): readonly WantedFile[] {
  if (Array.isArray(argument))
    return argument.flatMap((each): WantedFile[] => (typeof each === 'string' ? [{ path: each }] : []));
  const {
    file,
    files = [],
    deleteFiles = [],
  } = (argument ?? {}) as {
    readonly file?: WantedFile;
    readonly files?: readonly WantedFile[];
    readonly deleteFiles?: readonly WantedFile[];
  };
  const all = deleteFiles.length === 0 ? files : [...files, ...deleteFiles];
  return file === undefined ? all : [file, ...all];
}
