/** What a DuckDB instance says that it holds, but for the footers of files, of which it counts a third (footer-cache.ts). */
import type { EngineMemory } from '../storage/index/index-api.ts';
import { run, withLease, type Instance } from './connections.ts';
import { eachChunk } from './vector-reader.ts';

export async function heldBy(instance: Instance): Promise<EngineMemory> {
  let footerBytes = instance.footers.bytes + instance.openFooterBytes;
  for (const old of instance.old) footerBytes += old.footerBytes;
  let bytes = footerBytes;
  await withLease(instance, async (lease) => {
    const result = await run(
      lease,
      "SELECT coalesce(sum(memory_usage_bytes), 0)::DOUBLE FROM duckdb_memory() WHERE tag <> 'OBJECT_CACHE'",
    );
    await eachChunk(result, ([sum]) => {
      bytes += sum!.float64[0]!;
    });
  });
  return { bytes, footerBytes };
}
