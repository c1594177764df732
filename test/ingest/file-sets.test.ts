import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FileSets } from '../../src/storage/file-sets.ts';
import { DataFileUnit } from '../../src/storage/file-unit.ts';
import { Memory } from '../../src/storage/memory/memory.ts';
import { noPartition, tableDef } from './harness.ts';

const def = tableDef('t', noPartition);

test('the sets of a table hold what a look at all its files would find, and name every partition that changed', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'delete', 'flush', 'commit', 'remove'),
    file: fc.nat(7),
    partition: fc.nat(2),
    tier: fc.constantFrom('disk' as const, 'iceberg' as const),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const memory = new Memory(2 ** 26);
      const sets = new FileSets();
      const files: (DataFileUnit | undefined)[] = [];
      let lsn = 1;
      for (const { what, file: at, partition: given, tier } of steps) {
        const file = files[at];
        const partition = Number(file?.info.partition[0] ?? given);
        const before = JSON.stringify(state(files, partition));
        if (what === 'add' && file === undefined) {
          const info = {
            location: `f${at}`,
            path: '',
            rows: 1000,
            bytes: 1,
            columns: [],
            partition: [partition],
            specId: 0,
          };
          const made = new DataFileUnit(memory, at + 1, def, info, tier);
          files[at] = made;
          sets.add(made);
        } else if (file === undefined) continue;
        else if (what === 'delete') {
          file.deletes.reserve(1);
          file.deletes.append(file.deletes.length, lsn++);
          sets.deleted(file);
        } else if (what === 'flush') file.deletesFlushed = file.deletes.length;
        else if (what === 'commit') {
          file.tier = 'iceberg';
          file.deletesCommitted = file.deletesFlushed;
          sets.committed(file);
        } else if (what === 'remove') {
          files[at] = undefined;
          sets.remove(file);
        }
        const changed = sets.takeChanged();
        if (JSON.stringify(state(files, partition)) !== before) expect([...changed]).toContain(`0 i${partition}`);
        const live = files.filter((each) => each !== undefined);
        expect(new Set(sets.staged)).toEqual(new Set(live.filter((each) => each.tier === 'disk')));
        expect(new Set(sets.dirty)).toEqual(
          new Set(live.filter((each) => each.deletes.length > each.deletesCommitted)),
        );
        for (const key of [0, 1, 2].map((value) => `0 i${value}`))
          expect(new Set(sets.partition(key))).toEqual(
            new Set(live.filter((each) => each.tier === 'iceberg' && each.partitionKey === key)),
          );
      }
    }),
    { numRuns: 300 },
  );
});

/** What a choice sees of the data files of a partition. */
function state(files: readonly (DataFileUnit | undefined)[], partition: number): unknown {
  return files.flatMap((file) =>
    file?.tier === 'iceberg' && file.info.partition[0] === partition ? [[file.unit, file.deletesCommitted]] : [],
  );
}
