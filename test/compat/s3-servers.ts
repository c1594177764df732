/** Real S3 servers for tests: those that setup.sh has found, each with a bucket `arka`, each started anew. */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { watch } from '../process/server-process.ts';

export const KEYS = { AWS_ACCESS_KEY_ID: 'arka', AWS_SECRET_ACCESS_KEY: 'arka-secret', AWS_REGION: 'us-east-1' };

export interface RealS3 extends AsyncDisposable {
  readonly endpoint: string;
  /** Nobody is served until `back`, which has every object again. */
  away(): Promise<void>;
  back(): Promise<void>;
}

interface Kind {
  readonly name: string;
  readonly start: () => Promise<RealS3>;
}

export const s3Servers: readonly Kind[] = [
  ...kind('moto', process.env['COMPAT_MOTO'], async (binary) => {
    const port = await freePort();
    const server = await run(binary, ['-H', '127.0.0.1', '-p', String(port)], {}, port, false, () => {});
    const made = await fetch(`${server.endpoint}/arka`, { method: 'PUT' });
    if (!made.ok) throw new Error(`moto made no bucket: ${made.status}`);
    return server;
  }),
  ...kind('versitygw', process.env['COMPAT_VERSITYGW'], async (binary) => {
    const port = await freePort();
    const dir = mkdtempSync(join(tmpdir(), 'arka-versitygw-'));
    mkdirSync(join(dir, 'arka')); // a folder is a bucket
    const keys = { ROOT_ACCESS_KEY: KEYS.AWS_ACCESS_KEY_ID, ROOT_SECRET_KEY: KEYS.AWS_SECRET_ACCESS_KEY };
    return run(binary, ['--port', `127.0.0.1:${port}`, 'posix', dir], keys, port, true, () => {
      rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
    });
  }),
];

function kind(name: string, binary: string | undefined, start: (binary: string) => Promise<RealS3>): readonly Kind[] {
  return binary === undefined ? [] : [{ name, start: () => start(binary) }];
}

/** @param keeps its objects outlive the process: to be away is to end, else to stand still */
async function run(
  binary: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  port: number,
  keeps: boolean,
  ended: () => void,
): Promise<RealS3> {
  const endpoint = `http://127.0.0.1:${port}`;
  const begin = () => {
    const child = spawn(binary, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    const { exited, stderr } = watch(child);
    return { child, exited, stderr };
  };
  let { child, exited, stderr } = begin();
  const reap = (): void => void child.kill('SIGKILL');
  process.once('exit', reap);
  const end = async (): Promise<void> => {
    reap();
    await exited;
  };
  const close = async (): Promise<void> => {
    process.off('exit', reap);
    await end();
    ended();
  };
  const answers = async (): Promise<void> => {
    for (let tries = 0; ; tries++) {
      try {
        await fetch(endpoint);
        return;
      } catch (error) {
        if (child.exitCode === null && tries < 300) await new Promise((resolve) => setTimeout(resolve, 200));
        else {
          await close();
          throw new Error(`${binary} does not answer: ${stderr()}`, { cause: error });
        }
      }
    }
  };
  await answers();
  return {
    endpoint,
    away: async () => (keeps ? end() : void child.kill('SIGSTOP')),
    back: async () => {
      if (keeps) ({ child, exited, stderr } = begin());
      else child.kill('SIGCONT');
      await answers();
    },
    [Symbol.asyncDispose]: close,
  };
}

export function freePort(): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address() as AddressInfo;
    server.close(() => resolve(port));
  });
  return promise;
}

/** For PyIceberg and DuckDB. */
export function useForReaders(endpoint: string): void {
  Object.assign(process.env, {
    COMPAT_S3_ENDPOINT: endpoint,
    PYICEBERG_CATALOG__ARKA__S3__ENDPOINT: endpoint,
    PYICEBERG_CATALOG__ARKA__S3__ACCESS_KEY_ID: KEYS.AWS_ACCESS_KEY_ID,
    PYICEBERG_CATALOG__ARKA__S3__SECRET_ACCESS_KEY: KEYS.AWS_SECRET_ACCESS_KEY,
    PYICEBERG_CATALOG__ARKA__S3__REGION: KEYS.AWS_REGION,
  });
}
