/** H9: what the index needs of files in a remote warehouse. */
import { expect, test } from 'vitest';
import { ColdIndex } from '../../src/ingest/cold-index.ts';

test('H9: of a file in a remote warehouse alone the index is lent its key columns, where they are, one file at a time', async () => {
  const happened: string[] = [];
  const remote = {
    events: () => new Promise(() => {}),
    attach: () => Promise.resolve(),
    change: () => Promise.resolve({ covered: [] }),
    lend: ({ unit, path }: { unit: number; path: string }) =>
      Promise.resolve(void happened.push(`lend ${unit} at ${path}`)),
  };
  const disk = {
    concerns: () => true,
    leaseColumns: ({ path }: { path: string }, fieldIds: readonly number[]) => {
      happened.push(`columns ${fieldIds.join()} of ${path}`);
      return Promise.resolve({ path: `${path}-part`, release: () => happened.push(`end of ${path}`) });
    },
  };
  const files = [1, 2].map((unit) => ({
    unit,
    path: `f${unit}`,
    rows: 1,
    indexed: false,
    info: { location: `s3://b/f${unit}` },
    scan: () => ({ unit, path: `f${unit}`, rows: 1, bytes: 1, deletes: null }),
  }));
  const def = { uuid: 'u', key: [3, 1] };
  const table = { keyed: true, uniques: [], dropped: false, version: 1, def, files, spilledFiles: [] };
  const index = new ColdIndex(remote as never, disk as never, (error) => {
    throw error;
  });
  await index.sync(table as never);
  await expect.poll(() => happened.length).toBe(6);
  expect(happened).toEqual(
    [1, 2].flatMap((unit) => [`columns 3,1 of f${unit}`, `lend ${unit} at f${unit}-part`, `end of f${unit}`]),
  );
});
