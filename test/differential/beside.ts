/** A server and the oracle side by side, for all tests of a file. */
import { afterAll, beforeAll } from 'vitest';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import { openOracle } from './compare.ts';
import { openSocket, type Session } from './wire.ts';

/** Open while tests run. */
export interface Beside {
  arka: Session;
  oracle: Session;
}

export function besideOracle(settings: Readonly<Record<string, string | number>> = {}): Beside {
  const sessions = {} as Beside;
  let server: ServerProcess;
  beforeAll(async () => {
    server = await startServer({ settings });
    sessions.arka = await openSocket('Arka', server.url);
    sessions.oracle = await openOracle();
  }, 90_000);
  afterAll(async () => {
    await sessions.arka.close();
    await sessions.oracle.close();
    await server[Symbol.asyncDispose]();
  });
  return sessions;
}
