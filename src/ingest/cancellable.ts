/**
 * The engine as one statement sees it: what a lookup waits for until its files are here ends when the statement is
 * cancelled (57014), and a download that nobody else waits for with it.
 */
import type { DiskCache, WantedFile } from '../storage/disk/disk-cache.ts';
import type { UnitEngine } from '../storage/unit-engine.ts';
import type { Running } from '../running.ts';

type Cache = Pick<DiskCache, 'concerns' | 'lease'>;
type Call = (request: { readonly files: readonly WantedFile[] }) => Promise<unknown>;

/** What statements ask of files by key or position. Queries have a cancel of their own. */
const LOOKUPS: ReadonlySet<string> = new Set(['lookup', 'lookupImages', 'fetchRows']);

/** @param running takes what ends the wait */
export function cancellable<E extends UnitEngine>(engine: E, cache: Cache, running: Running): E {
  const waiting =
    (call: Call): Call =>
    async (request) => {
      if (!cache.concerns(request.files)) return call(request);
      const abort = new AbortController();
      running(() => abort.abort());
      const release = await cache.lease(request.files, abort.signal);
      try {
        return await call(request);
      } finally {
        release();
      }
    };
  return new Proxy(engine, {
    get: (_, method: string) => {
      const call = (engine as unknown as Readonly<Record<string, Call>>)[method]!;
      return LOOKUPS.has(method) ? waiting(call) : call;
    },
  });
}
