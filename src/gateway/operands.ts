/**
 * A value that a condition compares a column with, as the column has it in memory. The planner has made sure that its text
 * means the same whatever the time is (`keyText` of predicates.ts).
 */
import type { ColumnDef } from '../table-def.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { putText } from '../types/parse-text-value.ts';
import { Oid, physicalOf } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { timeZone } from '../types/time-zone.ts';
import { VectorBuilder } from '../types/vector-builder.ts';

/** A vector of one row. The column's length and precision say nothing about the other side of `=`; its scale is its form. */
export function valueVector({ type }: ColumnDef, text: string, zone: string): ColumnVector {
  const time = { timeZone: timeZone(zone), now: () => 0 };
  const builder = new VectorBuilder(physicalOf(type));
  putText(textInput(type.oid === Oid.numeric ? type : { ...type, typmod: -1 }, time), text, builder);
  return builder.vector();
}
