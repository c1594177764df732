/**
 * Functions, casts and arithmetic of expressions over one row beyond what comparisons need: how their types are resolved. What is not
 * among them is null, and the caller names it. How they are worked out: `ingest/row-functions.ts`.
 */
import type { Operand, RowFunction } from '../check-def.ts';
import type { PgType } from '../table-def.ts';
import { isWideNumeric, numericTypmod, Oid } from '../types/pg-type.ts';
import { FLOATS, INTEGERS, TEXTS } from '../types/type-kinds.ts';

const TEXT: PgType = { oid: Oid.text, typmod: -1 };
const NUMERIC: PgType = { oid: Oid.numeric, typmod: -1 };
const FLOAT8: PgType = { oid: Oid.float8, typmod: -1 };

const isText = ({ type }: Operand): boolean => TEXTS.has(type.oid);
const isExact = ({ type }: Operand): boolean => INTEGERS.has(type.oid) || type.oid === Oid.numeric;
const isFloat = ({ type }: Operand): boolean => FLOATS.has(type.oid);
const isInt4 = ({ type }: Operand): boolean => type.oid === Oid.int4 || type.oid === Oid.int2;

const call = (name: RowFunction, args: readonly Operand[], type: PgType): Operand => ({
  kind: 'function',
  name,
  args,
  type,
});
const cast = (of: Operand, type: PgType): Operand => ({ kind: 'cast', of, type });
const asNumeric = (of: Operand): Operand => (isWideNumeric(of.type) ? of : cast(of, NUMERIC));

/** By name: what its arguments must be, and what it is. */
const TEXT_CALLS: Readonly<Record<string, readonly [RowFunction, ...(readonly (readonly ('text' | 'int')[])[])]>> = {
  substr: ['substr', ['text', 'int'], ['text', 'int', 'int']],
  substring: ['substr', ['text', 'int'], ['text', 'int', 'int']],
  left: ['left', ['text', 'int']],
  right: ['right', ['text', 'int']],
  replace: ['replace', ['text', 'text', 'text']],
  ltrim: ['ltrim', ['text']],
  rtrim: ['rtrim', ['text']],
  reverse: ['reverse', ['text']],
  repeat: ['repeat', ['text', 'int']],
  md5: ['md5', ['text']],
};

const NUMERIC_CALLS: Readonly<Record<string, RowFunction>> = {
  round: 'numeric_round',
  trunc: 'numeric_trunc',
  ceil: 'numeric_ceil',
  ceiling: 'numeric_ceil',
  floor: 'numeric_floor',
  abs: 'numeric_abs',
};

/** Fields of days, and those of times of day. */
const DAY_FIELDS: ReadonlySet<string> = new Set(['year', 'quarter', 'month', 'day', 'dow', 'isodow', 'doy']);
const TIME_FIELDS: ReadonlySet<string> = new Set(['hour', 'minute']);
const UNITS: ReadonlySet<string> = new Set(['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second']);

const DATE_CALLS: ReadonlySet<string> = new Set(['extract', 'date_part', 'date_trunc']);

export const isRowFunction = (name: string): boolean =>
  TEXT_CALLS[name] !== undefined || NUMERIC_CALLS[name] !== undefined || DATE_CALLS.has(name);

export function functionOf(name: string, args: readonly Operand[]): Operand | null {
  const text = TEXT_CALLS[name];
  if (text !== undefined) {
    const [of, ...signatures] = text;
    const fits = signatures.some(
      (kinds) =>
        kinds.length === args.length &&
        kinds.every((kind, i) => (kind === 'text' ? isText(args[i]!) : isInt4(args[i]!))),
    );
    return fits ? call(of, args, TEXT) : null;
  }
  if (DATE_CALLS.has(name)) return dateCall(name, args);
  const numeric = NUMERIC_CALLS[name];
  const [first, digits] = args;
  if (numeric === undefined || first?.type.oid !== Oid.numeric || args.length > 2) return null;
  if (digits === undefined) return call(numeric, [asNumeric(first)], NUMERIC);
  const takesDigits = numeric === 'numeric_round' || numeric === 'numeric_trunc';
  return takesDigits && isInt4(digits) ? call(numeric, [asNumeric(first), digits], NUMERIC) : null;
}

function dateCall(name: string, [field, of, ...more]: readonly Operand[]): Operand | null {
  if (field?.kind !== 'constant' || field.text === null || of === undefined || more.length > 0) return null;
  const unit: Operand = { ...field, text: field.text.toLowerCase() };
  const isDate = of.type.oid === Oid.date;
  if (!isDate && of.type.oid !== Oid.timestamp) return null;
  // of a date it is an instant, by the session's zone
  if (name === 'date_trunc') return isDate || !UNITS.has(unit.text!) ? null : call('date_trunc', [unit, of], of.type);
  if (!DAY_FIELDS.has(unit.text!) && (isDate || !TIME_FIELDS.has(unit.text!))) return null;
  const value = call('date_field', [unit, of], NUMERIC);
  return name === 'extract' ? value : cast(value, FLOAT8);
}

const EXACT: Readonly<Record<string, RowFunction>> = {
  '+': 'numeric_add',
  '-': 'numeric_subtract',
  '*': 'numeric_multiply',
  '/': 'numeric_divide',
  '%': 'numeric_modulo',
};

/** What integers, DECIMALs and floats as `check.ts` has them do not do: numerics of any size, quotients. */
export function arithmeticOf(op: string, left: Operand, right: Operand): Operand | null {
  if (op === '||') {
    if (!isText(left) && !isText(right)) return null;
    const texts = [left, right].map((side) =>
      isText(side) ? side : side.type.oid === Oid.jsonb ? null : castOf(side, TEXT),
    );
    return texts.includes(null) ? null : call('concat', texts as readonly Operand[], TEXT);
  }
  const sides = [left, right];
  const exact = EXACT[op];
  if (exact !== undefined && sides.every(isExact) && sides.some(({ type }) => type.oid === Oid.numeric))
    return call(exact, sides.map(asNumeric), NUMERIC);
  const isOfFloats = sides.some(isFloat) && sides.every((side) => isFloat(side) || isExact(side));
  if (op === '/' && isOfFloats && left.type.oid !== Oid.float4 && right.type.oid !== Oid.float4)
    return call(
      'float_divide',
      sides.map((side) => (isFloat(side) ? side : cast(side, FLOAT8))),
      FLOAT8,
    );
  return null;
}

/** Members of documents. */
export function memberOf(op: string, left: Operand, right: Operand): Operand | null {
  if (left.type.oid !== Oid.jsonb || (op !== '->' && op !== '->>')) return null;
  const member = isText(right) ? 'json_member' : isInt4(right) ? 'json_element' : null;
  if (member === null) return null;
  const value = call(member, [left, right], left.type);
  return op === '->' ? value : call('json_text', [value], TEXT);
}

/** Whose input depends on nothing but the text. */
const READ_FROM_TEXT: ReadonlySet<number> = new Set([
  ...INTEGERS,
  ...FLOATS,
  Oid.numeric,
  Oid.bool,
  Oid.uuid,
  Oid.jsonb,
]);

/** Numbers and texts, and those whose output depends on nothing but the value. */
const SHOWN: ReadonlySet<number> = new Set([Oid.numeric, Oid.bool, Oid.uuid, Oid.jsonb]);

export function castOf(of: Operand, type: PgType): Operand | null {
  const from = of.type.oid;
  if (TEXTS.has(type.oid)) {
    const isShown = TEXTS.has(from) || INTEGERS.has(from) || FLOATS.has(from);
    return isShown || SHOWN.has(from) ? cast(of, type) : null;
  }
  if (TEXTS.has(from)) return READ_FROM_TEXT.has(type.oid) ? cast(of, type) : null;
  const isNumber = isExact(of) || isFloat(of);
  if (isNumber && (INTEGERS.has(type.oid) || FLOATS.has(type.oid))) return cast(of, type);
  if (type.oid === Oid.numeric && isExact(of)) return cast(of, scaled(of, type));
  if (type.oid === Oid.numeric && isFloat(of)) return cast(of, type);
  return from === Oid.timestamp && type.oid === Oid.date ? cast(of, type) : null;
}

/** An integer as a numeric has one scale, 0. */
function scaled({ type: from }: Operand, type: PgType): PgType {
  return type.typmod < 0 && INTEGERS.has(from.oid) ? { oid: Oid.numeric, typmod: numericTypmod(38, 0) } : type;
}
