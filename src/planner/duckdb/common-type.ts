/**
 * One type for several expressions: the branches of CASE, the arguments of coalesce and greatest, rows of VALUES, sides of UNION.
 * Of numbers it is the widest; numerics that differ in scale keep theirs (D1).
 */
import { Oid } from '../../types/pg-type.ts';
import { checkScales } from './arrays.ts';
import { commonDecimal, decimalOf, decimalText, scaleOf, shownText } from './decimals.ts';
import { duckdbName } from './literals.ts';
import { coerced } from './operators.ts';
import {
  commonNumber,
  elementIn,
  isFloat,
  isNumber,
  typed,
  WIDE_NUMERIC,
  type DecimalForm,
  type Typed,
} from './typed.ts';
import { wideText } from './wide-numeric.ts';

/** How the SQL of the parts makes that of the whole. */
export interface Combination {
  readonly sql: (parts: readonly string[]) => string;
  /** The scale of the one that it takes, of the scales and the values of all. */
  readonly scale: (scales: readonly string[], values: readonly string[]) => string;
  /** Over texts of numerics, where `sql` does not do. */
  readonly text?: (parts: readonly string[]) => string;
}

/** The one type of several values; 0 when Arka does not know it. Untyped constants follow. */
export function unionType(values: readonly Typed[]): number {
  const known = [...new Set(values.map((value) => value.oid).filter((oid) => oid !== Oid.unknown))];
  if (known.length === 0) return Oid.text;
  if (known.length === 1) return known[0]!;
  if (!known.every((oid) => isNumber(oid) || oid === WIDE_NUMERIC)) return 0;
  const common = known.map((oid) => (oid === WIDE_NUMERIC ? Oid.numeric : oid)).reduce(widest);
  return common === Oid.numeric && known.includes(WIDE_NUMERIC) ? WIDE_NUMERIC : common;
}

/** Beside an operator real and integer are float8; as branches of one expression they are real. */
function widest(left: number, right: number): number {
  const sides = [left, right];
  if (sides.includes(Oid.float8)) return Oid.float8;
  return sides.includes(Oid.float4) ? Oid.float4 : commonNumber(left, right);
}

/** Forms of all values that have one; null for NULL. Undefined: one is text. */
function decimals(values: readonly Typed[]): readonly (DecimalForm | null)[] | undefined {
  const forms = values.map((value) => (value.constant === null ? null : decimalOf(value)));
  return forms.includes(undefined) ? undefined : (forms as readonly (DecimalForm | null)[]);
}

export function combined(values: readonly Typed[], how: Combination): Typed {
  const oid = unionType(values);
  if (new Set(values.map(({ sql }) => sql)).size > 1) checkScales(elementIn(oid), 'this place');
  if (isFloat(oid) && values.some(({ oid: each }) => each !== oid))
    return typed(how.sql(values.map((value) => floatOf(value, oid))), oid);
  if (oid !== Oid.numeric && oid !== WIDE_NUMERIC)
    return typed(how.sql(values.map((value) => coerced(value, typed('', oid), {}))), oid);
  const forms = values.every(({ oid: each, constant }) => each !== Oid.unknown || constant === null)
    ? decimals(values)
    : undefined;
  const known = (forms ?? []).filter((form) => form !== null);
  const common = forms === undefined ? undefined : commonDecimal(known);
  if (forms === undefined || common === undefined)
    return typed((how.text ?? how.sql)(values.map(wideText)), WIDE_NUMERIC);
  const isOne = known.every(({ scale, shown }) => scale === common.scale && shown === undefined);
  const type = `DECIMAL(${common.precision},${common.scale})`;
  const parts = forms.map((form) => (form === null ? `CAST(NULL AS ${type})` : `CAST(${form.sql} AS ${type})`));
  const sql = how.sql(isOne ? forms.map((form) => form?.sql ?? 'NULL') : parts);
  if (isOne) return { ...typed(sql, Oid.numeric), decimal: { sql, ...common } };
  const scales = forms.map((form) => (form === null ? 'CAST(NULL AS INTEGER)' : scaleOf(form)));
  const form: DecimalForm = { sql, ...common, shown: how.scale(scales, parts) };
  const text = how.text === undefined ? how.sql(values.map(wideText)) : shownText(form);
  return { ...typed(text, WIDE_NUMERIC), decimal: form };
}

function floatOf(value: Typed, oid: number): string {
  if (value.oid === Oid.unknown) return coerced(value, typed('', oid), {});
  return `CAST(${value.sql} AS ${duckdbName(oid)})`;
}

/** The type, and the one scale, of a column whose values are these. */
export function sharedType(values: readonly Typed[]): Typed {
  const oid = unionType(values);
  if (oid !== Oid.numeric) return typed('', oid);
  const forms = decimals(values)?.filter((form) => form !== null);
  const common = forms === undefined ? undefined : commonDecimal(forms);
  if (common === undefined || forms!.some(({ scale, shown }) => scale !== common.scale || shown !== undefined))
    return typed('', WIDE_NUMERIC);
  return { ...typed('', oid), decimal: { sql: '', ...common } };
}

export function valueAs(value: Typed, to: Typed): string {
  if (to.oid === WIDE_NUMERIC) return wideText(value);
  return columnCast(value, to)?.(value.sql) ?? value.sql;
}

/** How a column of a query goes into one of a type that others share with it; null: as it is. */
export function columnCast(from: Typed, to: Typed): ((column: string) => string) | null {
  if (from.oid === Oid.unknown || from.oid === 0 || from.oid === to.oid) return null;
  if (to.oid === WIDE_NUMERIC)
    return (column) => (from.oid === Oid.numeric ? decimalText(column, from.decimal) : `CAST(${column} AS VARCHAR)`);
  return isFloat(to.oid) ? (column) => `CAST(${column} AS ${duckdbName(to.oid)})` : null;
}
