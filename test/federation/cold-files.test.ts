import { expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { withColdFiles } from '../../src/federation/cold-files.ts';
import type { EngineApi } from '../../src/federation/engine-api.ts';
import type { Remote } from '../../src/rpc.ts';
import { DiskCache } from '../../src/storage/disk/disk-cache.ts';

test.each([
  ['one file', (path: string) => ({ file: { path } })],
  ['a list of files', (path: string) => ({ files: [{ path }] })],
  ['paths', (path: string) => [path]],
])(
  'E1: a request of the engine that names %s has it fetched before, and one without remote files goes at once',
  async (_, request) => {
    const happened: string[] = [];
    const lake = {
      fetchFile: (path: string) => {
        happened.push(`fetch ${path}`);
        return Promise.resolve({ path, bytes: 1 });
      },
    };
    const engine = {
      readRows: () => {
        happened.push('readRows');
        return Promise.resolve([]);
      },
    };
    const options = { dir: '/cache', limit: Number.POSITIVE_INFINITY, clock: systemClock, warn: () => {} };
    const disk = new DiskCache({ ...options, lake: lake as never });
    const reader = withColdFiles(engine as unknown as Remote<EngineApi>, disk);
    await reader.readRows(request('/cache/s3/b/f.parquet') as never);
    expect(happened.splice(0)).toEqual(['fetch /cache/s3/b/f.parquet', 'readRows']);
    await reader.readRows(request('/disk/f.parquet') as never);
    expect(happened).toEqual(['readRows']);
  },
);
