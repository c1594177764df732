/**
 * The index thread in the simulated world: the code that ships over the simulated disk, with a reader of the files of JSON.
 * Calls reach it in the order they were made, and answers main in the order they were given, each when the scheduler says so,
 * as over a MessagePort.
 */
import type { Remote } from '../../src/rpc.ts';
import type { IndexApi } from '../../src/storage/index/index-api.ts';
import { createIndexCore, type IndexCore } from '../../src/storage/index/index-service.ts';
import type { KeyReader } from '../../src/storage/index/key-reader.ts';
import { rowsOfFile, vectorsOf } from './sim-engine.ts';
import { fsError } from './sim-fs.ts';
import type { World } from './world.ts';

export const INDEX_DIR = '/sim/index';

/** Rows a call back: a file comes in pieces. */
const ROWS = 3;

function keyReader(world: World): KeyReader {
  return {
    readKeys: async ({ key: [field] }, file, from, to, visit) => {
      const { fs } = world;
      await world.turn('the index reads a file');
      if (fs.crashed || world.fs !== fs) return new Promise<never>(() => {});
      world.engineFault();
      if (!fs.names.has(file.path)) throw fsError('ENOENT', file.path);
      const rows = rowsOfFile(fs, file.path).slice(from, to);
      for (let at = 0; at < rows.length; at += ROWS) {
        const piece = rows.slice(at, at + ROWS);
        const positions = Int32Array.from(piece, (_, i) => from + at + i);
        await visit([vectorsOf(piece)[field! - 1]!], positions, piece.length);
      }
    },
  };
}

export const simIndex = (world: World): IndexCore => createIndexCore(world.clock, keyReader(world));

/** Turns in order: what is asked for later never comes first. */
class Lane {
  readonly #world: World;
  readonly #what: string;
  #last: Promise<void> = Promise.resolve();

  constructor(world: World, what: string) {
    this.#world = world;
    this.#what = what;
  }

  next(): Promise<void> {
    const { fs } = this.#world;
    this.#last = this.#last.then(async () => {
      await this.#world.turn(this.#what);
      if (fs.crashed || this.#world.fs !== fs) return new Promise<never>(() => {});
      return undefined;
    });
    return this.#last;
  }
}

export function remoteIndex(world: World, core: IndexCore): Remote<IndexApi> {
  const calls = new Lane(world, 'a call of the index');
  const answers = new Lane(world, "the index's answer");
  return new Proxy(core as unknown as Remote<IndexApi>, {
    get: (_, method: keyof IndexCore) => async (argument: never) => {
      await calls.next();
      const work = (core[method] as (argument: never) => Promise<unknown>)(argument);
      // The call for events waits for as long as nothing happens.
      const [outcome] = await Promise.allSettled([
        method === 'events' ? work : world.during(`the index: ${method}`, work),
      ]);
      await answers.next();
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    },
  });
}
