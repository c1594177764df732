/**
 * A key out of a Bind's bytes: parameters that are compared with the key's columns as they are, read where they stand. No text of a
 * value is made, and the vectors are those of the last time: one statement of a session runs at a time, and the condition is its plan's.
 *
 * - B1 Only types whose values mean the same to every session at any time, and are compared as they are stored. What a value of
 *   another type is beside its column, `KeyCondition.read` says.
 */
import type { KeyCondition } from '../planner/plan.ts';
import type { TableDef } from '../table-def.ts';
import { binaryInput } from '../types/binary-input.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { SingleValue } from '../types/single-value.ts';
import { textInput, type TextInput } from '../types/text-input.ts';
import type { BoundParameters } from '../wire/gateway-api.ts';
import { formatOf } from './write-environment.ts';

/** B1: what a column of the type is compared with as it is; integers that are no wider. */
const READ_AS: ReadonlyMap<number, readonly number[]> = new Map([
  [Oid.int2, [Oid.int2]],
  [Oid.int4, [Oid.int4, Oid.int2]],
  [Oid.int8, [Oid.int8, Oid.int4, Oid.int2]],
  [Oid.bool, [Oid.bool]],
  [Oid.uuid, [Oid.uuid]],
  [Oid.text, [Oid.text, Oid.varchar]],
  [Oid.varchar, [Oid.text, Oid.varchar]],
]);

interface Part {
  readonly place: number;
  readonly value: SingleValue;
  /** For texts and for binary values. */
  readonly inputs: readonly [TextInput, TextInput];
}

interface Kept {
  readonly def: TableDef;
  readonly oids: readonly number[];
  readonly key: BoundKey | null;
}
const known = new WeakMap<KeyCondition, Kept>();

/** The key of a condition on a table that is defined so. @param oids types of the parameters; null: B1, or the key is not of parameters alone */
export function boundKeyOf(condition: KeyCondition, def: TableDef, oids: readonly number[]): BoundKey | null {
  const { places } = condition;
  if (places === null) return null;
  let kept = known.get(condition);
  if (kept?.def !== def || kept.oids !== oids) {
    kept = { def, oids, key: BoundKey.of(places, def, oids) };
    known.set(condition, kept);
  }
  return kept.key;
}

export class BoundKey {
  readonly #parts: readonly Part[];
  /** The key as it was read last, in the order of the table's. */
  readonly vectors: readonly ColumnVector[];

  private constructor(parts: readonly Part[]) {
    this.#parts = parts;
    this.vectors = parts.map(({ value }) => value.vector);
  }

  /** As `boundKeyOf`. */
  static of(places: readonly number[], { columns, key }: TableDef, oids: readonly number[]): BoundKey | null {
    const parts: Part[] = [];
    for (const [i, place] of places.entries()) {
      const oid = oids[place] ?? 0;
      const column = columns.find(({ fieldId }) => fieldId === key[i])!.type;
      if (READ_AS.get(column.oid)?.includes(oid) !== true) return null;
      const type = { oid, typmod: -1 };
      const value = new SingleValue(physicalOf(column));
      parts.push({ place, value, inputs: [textInput(type), binaryInput(type)] });
    }
    return new BoundKey(parts);
  }

  /** Fills `vectors`; false: a value is NULL, and no row has that key. */
  read(parameters: BoundParameters): boolean {
    const { bytes, starts, ends } = parameters;
    const parts = this.#parts;
    for (let i = 0; i < parts.length; i++) {
      const { place, value, inputs } = parts[i]!;
      const start = starts[place]!;
      if (start < 0) return false;
      inputs[formatOf(parameters, place)](bytes, start, ends[place]!, value);
    }
    return true;
  }
}
