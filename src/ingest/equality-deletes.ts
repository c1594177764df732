/**
 * Equality deletes of other writers become positions (H14), when their snapshot is taken over: the table's new file set is
 * there once that is done, and a scan knows nothing of them. Rows of ours that no commit has yet have no sequence number, and
 * are not hit: they come after whatever is in Iceberg.
 *
 * - Q1 A pair of a data file and a delete file is looked at once (`src/storage/equality-known.ts`); a start looks again.
 * - Q2 A data file that a delete file was of, and is not any more, is looked at anew: another writer has rolled back.
 */
import type { KnownEquality } from '../storage/equality-known.ts';
import type { EqualityDeleteFile, EqualityTarget, TableState } from '../storage/iceberg/lake-api.ts';
import type { Table } from '../storage/table.ts';
import type { PositionDeletes } from '../storage/unit-engine.ts';
import type { Database } from './database.ts';

/** What one statement of the engine can tell: delete files of one place and by the same columns, and what they may be of. */
interface Group {
  readonly fieldIds: readonly number[];
  readonly targets: Set<EqualityTarget>;
  readonly deletes: Set<EqualityDeleteFile>;
}

const NOTHING = new Uint32Array(0);

/** All that equality deletes have deleted from the state's data files. */
export async function equalityPositions(
  database: Database,
  table: Table,
  state: TableState,
): Promise<readonly PositionDeletes[]> {
  const { files, targets } = state.equality ?? { files: [], targets: [] };
  const known = new Map<string, KnownEquality>();
  const groups = new Map<string, Group>();
  for (const target of targets) {
    const by = new Set(target.by.map((index) => files[index]!.location));
    const before = table.equality.of(target.location);
    const isKnown = before !== undefined && [...before.by].every((location) => by.has(location)); // Q2
    known.set(target.location, { by, positions: isKnown ? before.positions : NOTHING });
    for (const index of target.by) {
      const file = files[index]!;
      if (isKnown && before.by.has(file.location)) continue; // Q1
      const key = `${file.fieldIds.join()} ${file.place}`;
      const group = groups.get(key) ?? { fieldIds: file.fieldIds, targets: new Set(), deletes: new Set() };
      groups.set(key, group);
      group.targets.add(target);
      group.deletes.add(file);
    }
  }
  const infos = new Map(state.files.map((info) => [info.location, info]));
  for (const { fieldIds, targets: those, deletes } of groups.values()) {
    const found = await database.engine.equalityPositions({
      def: state.def,
      fieldIds,
      files: Array.from(those, ({ location, sequence }, unit) => {
        const { path, rows, bytes } = infos.get(location)!;
        return { unit, path, rows, bytes, deletes: null, sequence };
      }),
      deleteFiles: Array.from(deletes, ({ path, rows, bytes, sequence }, unit) => {
        return { unit, path, rows, bytes, deletes: null, sequence };
      }),
    });
    for (const [unit, { location }] of [...those].entries()) {
      const positions = found.get(unit);
      const entry = known.get(location)!;
      if (positions !== undefined) known.set(location, { ...entry, positions: joined(entry.positions, positions) });
    }
  }
  table.equality.replace(known);
  return Array.from(known, ([location, { positions }]) => ({ location, positions })).filter(
    ({ positions }) => positions.length > 0,
  );
}

/** The union of sorted positions, sorted. */
export function joined(left: Uint32Array, right: Uint32Array): Uint32Array {
  if (left.length === 0) return right;
  if (right.length === 0) return left;
  const all = new Uint32Array(left.length + right.length);
  let count = 0;
  for (let l = 0, r = 0; l < left.length || r < right.length;) {
    const next = r >= right.length || (l < left.length && left[l]! <= right[r]!) ? left[l++]! : right[r++]!;
    if (count === 0 || all[count - 1] !== next) all[count++] = next;
  }
  return all.slice(0, count);
}
