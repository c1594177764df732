/** The engine thread: DuckDB and the encoding of results, behind src/rpc.ts. What it made is moved to main, not copied. */
import { parentPort } from 'node:worker_threads';
import { createEngine } from '../federation/engine.ts';
import type { EngineSettings, QueryChunk } from '../federation/engine-api.ts';
import { invariant } from '../errors.ts';
import { serve, Transfer } from '../rpc.ts';
import { giveWay, letGiveWay } from '../thread-priority.ts';

invariant(parentPort !== null, 'the engine runs as a worker');
giveWay();
const engine = createEngine();
serve(parentPort, {
  ...engine,
  open: async (settings: EngineSettings) => {
    await engine.open(settings);
    letGiveWay('libuv-worker'); // where its queries run
  },
  spoolRead: async (request: Parameters<typeof engine.spoolRead>[0]) => {
    const bytes = await engine.spoolRead(request);
    return new Transfer(bytes, [bytes.buffer as ArrayBuffer]);
  },
  next: async (cursor: number) => {
    const chunk = await engine.next(cursor);
    return new Transfer(chunk, buffersOf(chunk));
  },
});

/** Each buffer once: a vector's arrays may share theirs, and the empty arrays that all vectors share must stay. */
function buffersOf(chunk: QueryChunk): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  const add = (array: Uint8Array | Int32Array | Float32Array | Float64Array | null): void => {
    if (array !== null && array.length > 0 && array.buffer instanceof ArrayBuffer) buffers.add(array.buffer);
  };
  add(chunk.messages);
  for (const vector of chunk.vectors ?? []) {
    add(vector.validity);
    add(vector.bits);
    add(vector.words);
    add(vector.float32);
    add(vector.float64);
    add(vector.heap);
    add(vector.starts);
    add(vector.ends);
  }
  return [...buffers];
}
