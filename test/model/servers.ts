/** The two sides: Arka as a process of its own, that may crash; PostgreSQL where ARKA_TEST_POSTGRES names one, else PGlite. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPglite, openSocket } from '../differential/wire.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';
import type { Arka } from './lockstep.ts';
import { Side } from './side.ts';

const SETTINGS = { options: '-c deadlock_timeout=1ms' };

export interface Servers extends AsyncDisposable {
  readonly arka: Arka;
  readonly oracle: Side;
  readonly server: () => ServerProcess;
  /** Sessions beside each other; not with PGlite. */
  readonly several: boolean;
}

class ArkaServer extends Side implements Arka {
  readonly dataDir = mkdtempSync(join(tmpdir(), 'arka-model-'));
  readonly #built: boolean;
  server: ServerProcess | null = null;

  constructor(built: boolean) {
    super('Arka', () => openSocket('Arka', this.server!.url, SETTINGS));
    this.#built = built;
  }

  async start(): Promise<void> {
    this.server = await startServer({ dataDir: this.dataDir, built: this.#built });
  }

  log(): string {
    return this.server?.stderr() ?? '';
  }

  async again(event: 'restart' | 'crash'): Promise<void> {
    if (event === 'crash') await this.server!.kill9();
    else await this.server!.stop();
    this.lost();
    await this.start();
  }
}

/** PGlite has one session: who looks on is who acts. */
async function openOracle(url: string | undefined): Promise<{ oracle: Side; close: () => Promise<void> }> {
  if (url !== undefined) {
    const oracle = new Side('PostgreSQL', () => openSocket('PostgreSQL', url, SETTINGS));
    return { oracle, close: async () => (await oracle.session('observer')).close() };
  }
  const pglite = await openPglite();
  const shared = { ...pglite, close: () => Promise.resolve() };
  return { oracle: new Side('PGlite', () => Promise.resolve(shared)), close: () => pglite.close() };
}

/** @param built Arka runs from `dist/`, which must be new */
export async function openServers({ built }: { readonly built: boolean }): Promise<Servers> {
  const url = process.env['ARKA_TEST_POSTGRES'];
  const arka = new ArkaServer(built);
  await arka.start();
  const { oracle, close } = await openOracle(url);
  return {
    arka,
    oracle,
    server: () => arka.server!,
    several: url !== undefined,
    async [Symbol.asyncDispose]() {
      await close();
      await arka.server![Symbol.asyncDispose]();
      rmSync(arka.dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
