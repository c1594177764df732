/** Thread `catalog`: PGlite behind the catalog API. Started by `CatalogClient`; ends itself when the session inside is lost. */
import { parentPort, workerData } from 'node:worker_threads';
import { createCatalog } from '../catalog/catalog.ts';
import type { CatalogApi } from '../catalog/catalog-api.ts';
import { SessionLost } from '../catalog/pglite-session.ts';
import { invariant } from '../errors.ts';
import { serve, Transfer } from '../rpc.ts';

invariant(parentPort !== null, 'src/threads/catalog.ts runs as a worker');
const catalog = createCatalog(new URL((workerData as { readonly image: string }).image));

serve(parentPort, {
  ...catalog,
  open: (contents: Parameters<CatalogApi['open']>[0]) => orEnd(catalog.open(contents)),
  mirror: (contents: Parameters<CatalogApi['mirror']>[0]) => orEnd(catalog.mirror(contents)),
  describe: (request: Parameters<CatalogApi['describe']>[0]) => orEnd(catalog.describe(request)),
  query: async (request: Parameters<CatalogApi['query']>[0]) => {
    const result = await orEnd(catalog.query(request));
    return new Transfer(result, [result.messages.buffer as ArrayBuffer]);
  },
});

/** The client hears of the end through the worker's exit, and starts another. */
async function orEnd<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof SessionLost) process.exit(1);
    throw error;
  }
}
