/**
 * Equality deletes, as Flink's upserts commit them (H14): which of a snapshot's data files each of them may be of. Their rows are
 * found by the engine (`src/ingest/equality-deletes.ts`).
 *
 * - E1 One is for data files of a lower data sequence number, of its own spec and partition; where its spec has no partition,
 *   for those of all.
 * - E2 A data file is left out where the bounds of a column that both have do not meet, if that column surely has no NULL in
 *   the deletes: NULL equals NULL, and is in no bounds.
 * @see https://iceberg.apache.org/spec/#scan-planning
 */
import { notSupported } from '../../errors.ts';
import { decodeValue } from './bounds.ts';
import type { EqualityDeleteFile, EqualityDeletes, EqualityTarget } from './lake-api.ts';
import { partitionOf, type ManifestEntry, type ManifestSpec, type RawFile } from './manifest.ts';
import type { IcebergSchema } from './schema-json.ts';
import { placeKey } from './transforms.ts';

/** A live entry of a manifest, with the spec that it was written under. */
export interface LiveEntry {
  readonly entry: ManifestEntry;
  readonly spec: ManifestSpec;
}

/** The place of deletes that are for every partition. */
const EVERYWHERE = '';
/** Types whose values have one order; of uuid writers have two, and NaN has no place among floats. */
const ORDERED = /^(int|long|date|time|timestamp|timestamptz|string|decimal.*)$/;

type Value = number | bigint | Buffer;
interface Range {
  readonly min: Value;
  readonly max: Value;
}

export function equalityDeletes(
  schema: IcebergSchema,
  data: readonly LiveEntry[],
  deletes: readonly LiveEntry[],
  pathOf: (location: string) => string,
): EqualityDeletes {
  const types = new Map(schema.fields.map((field) => [field.id, field.type]));
  const files = deletes.map((live) => deleteFile(live, types, pathOf));
  const ids = new Set(files.flatMap(({ fieldIds }) => fieldIds));
  const ranges = new Ranges(types, ids);
  const deleteRanges = deletes.map(({ entry }) => ranges.of(entry.file, true));
  const targets: EqualityTarget[] = [];
  for (const live of data) {
    const sequence = Number(live.entry.sequence ?? 0n);
    const place = placeOf(live);
    const own = ranges.of(live.entry.file, false);
    const by: number[] = [];
    for (const [i, file] of files.entries())
      if (
        file.sequence > sequence &&
        (file.place === EVERYWHERE || file.place === place) &&
        mayMeet(file.fieldIds, deleteRanges[i]!, own)
      )
        by.push(i);
    if (by.length > 0) targets.push({ location: live.entry.file.file_path, sequence, by });
  }
  return { files, targets };
}

function deleteFile(
  live: LiveEntry,
  types: ReadonlyMap<number, unknown>,
  pathOf: (location: string) => string,
): EqualityDeleteFile {
  const { file, sequence } = live.entry;
  const fieldIds = file.equality_ids ?? [];
  if (fieldIds.length === 0 || fieldIds.some((id) => typeof types.get(id) !== 'string'))
    throw notSupported('reading Iceberg equality deletes by columns that the table does not have', {
      detail: `File "${file.file_path}", columns by field id: ${fieldIds.join(', ')}.`,
      hint: 'Compact the table with the engine that writes them; until then it is read as it was before, and nothing is committed to it.',
    });
  return {
    location: file.file_path,
    path: pathOf(file.file_path),
    bytes: Number(file.file_size_in_bytes),
    rows: Number(file.record_count),
    fieldIds,
    sequence: Number(sequence ?? 0n),
    place: isUnpartitioned(live.spec) ? EVERYWHERE : placeOf(live),
  };
}

function isUnpartitioned({ fields }: ManifestSpec): boolean {
  return fields.every(({ transform }) => transform === 'void');
}

function placeOf({ entry, spec }: LiveEntry): string {
  return placeKey(spec.specId, partitionOf(entry.file, spec));
}

/** Bounds of the columns that deletes are by. */
class Ranges {
  readonly #types: readonly (readonly [number, string])[];

  constructor(types: ReadonlyMap<number, unknown>, ids: ReadonlySet<number>) {
    this.#types = [...ids].map((id) => [id, String(types.get(id))] as const).filter(([, type]) => ORDERED.test(type));
  }

  of(file: RawFile, withoutNull: boolean): ReadonlyMap<number, Range> {
    const found = new Map<number, Range>();
    for (const [id, type] of this.#types) {
      const lower = valueOf(file.lower_bounds, id);
      const upper = valueOf(file.upper_bounds, id);
      if (lower === undefined || upper === undefined) continue;
      if (withoutNull && valueOf(file.null_value_counts, id) !== 0n) continue;
      found.set(id, { min: ordered(type, lower), max: ordered(type, upper) });
    }
    return found;
  }
}

function valueOf<T>(pairs: readonly { readonly key: number; readonly value: T }[] | null, id: number): T | undefined {
  return pairs?.find(({ key }) => key === id)?.value;
}

function ordered(type: string, bound: Buffer): Value {
  return type === 'string' ? bound : (decodeValue(type, bound) as number | bigint);
}

function mayMeet(
  fieldIds: readonly number[],
  deletes: ReadonlyMap<number, Range>,
  data: ReadonlyMap<number, Range>,
): boolean {
  return fieldIds.every((id) => {
    const [left, right] = [deletes.get(id), data.get(id)];
    return (
      left === undefined || right === undefined || (!isBelow(left.max, right.min) && !isBelow(right.max, left.min))
    );
  });
}

function isBelow(left: Value, right: Value): boolean {
  if (left instanceof Buffer && right instanceof Buffer) return Buffer.compare(left, right) < 0;
  return left < right;
}
