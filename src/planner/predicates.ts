/**
 * What WHERE says about a table before it is read: bounds on its time column, and equality with its whole key.
 *
 * Only AND-ed comparisons with constants and parameters count; whatever is not certain gives no bound. Pruning must
 * never change an answer, so bounds may be too wide, never too narrow.
 */
import type { Node } from 'libpg-query';
import type { PgType, TableDef } from '../table-def.ts';
import { DAY_MICROS, daysFromCivil } from '../types/civil-date.ts';
import { numericModifier, Oid } from '../types/pg-type.ts';
import { constantKind, constantText, plainName, stringOf } from './ast.ts';
import { expandDecimal } from './constants.ts';
import type { ParameterValue, TimeRange } from './plan.ts';
import { typeOidOf } from './type-names.ts';

/** A constant or parameter with the type it is written with (0: untyped). */
export type Operand =
  | { readonly kind: 'constant'; readonly text: string | null; readonly oid: number }
  | { readonly kind: 'parameter'; readonly index: number; readonly oid: number };

export interface Comparison {
  readonly column: string;
  readonly alias: string | null;
  readonly operator: '=' | '<' | '>' | '<=' | '>=';
  readonly operand: Operand;
}

/** The comparisons AND-ed in a condition; `complete`: it says nothing else. */
export function comparisons(where: Node | undefined): {
  readonly list: readonly Comparison[];
  readonly complete: boolean;
} {
  const list: Comparison[] = [];
  let complete = true;
  const visit = (node: Node): void => {
    if ('BoolExpr' in node && node.BoolExpr.boolop === 'AND_EXPR') {
      for (const arg of node.BoolExpr.args ?? []) visit(arg);
      return;
    }
    const found = comparison(node);
    if (found.length === 0 || ('A_Expr' in node && node.A_Expr.kind === 'AEXPR_BETWEEN')) complete = false;
    list.push(...found);
  };
  if (where !== undefined) visit(where);
  return { list, complete };
}

const MIRRORED: Readonly<Record<string, Comparison['operator']>> = {
  '=': '=',
  '<': '>',
  '>': '<',
  '<=': '>=',
  '>=': '<=',
};

function comparison(node: Node): readonly Comparison[] {
  if (!('A_Expr' in node)) return [];
  const { kind, lexpr, rexpr } = node.A_Expr;
  const name = plainName(node.A_Expr.name);
  if (lexpr === undefined || rexpr === undefined) return [];
  if (kind === 'AEXPR_BETWEEN' && 'List' in rexpr) {
    const [low, high] = (rexpr.List.items ?? []).map(operand);
    const column = columnOf(lexpr);
    if (column === null) return [];
    const bounds: Comparison[] = [];
    if (low !== undefined && low !== null) bounds.push({ ...column, operator: '>=', operand: low });
    if (high !== undefined && high !== null) bounds.push({ ...column, operator: '<=', operand: high });
    return bounds;
  }
  if (kind !== 'AEXPR_OP' || MIRRORED[name] === undefined) return [];
  const left = columnOf(lexpr);
  const right = operand(rexpr);
  if (left !== null && right !== null) return [{ ...left, operator: name as Comparison['operator'], operand: right }];
  const mirroredColumn = columnOf(rexpr);
  const mirroredOperand = operand(lexpr);
  if (mirroredColumn !== null && mirroredOperand !== null)
    return [{ ...mirroredColumn, operator: MIRRORED[name]!, operand: mirroredOperand }];
  return [];
}

export function columnOf(node: Node): { column: string; alias: string | null } | null {
  if (!('ColumnRef' in node)) return null;
  const fields = node.ColumnRef.fields ?? [];
  if (fields.some((field) => !('String' in field))) return null;
  return { column: stringOf(fields.at(-1)), alias: fields.length > 1 ? stringOf(fields.at(-2)) : null };
}

export function operand(node: Node): Operand | null {
  if ('ParamRef' in node) return { kind: 'parameter', index: node.ParamRef.number ?? 0, oid: 0 };
  const kind = constantKind(node);
  if (kind !== undefined && kind !== 'bits')
    return { kind: 'constant', text: constantText(node), oid: CONSTANT_OIDS[kind]! };
  if (!('TypeCast' in node) || node.TypeCast.arg === undefined || (node.TypeCast.typeName?.typmods ?? []).length > 0)
    return null;
  const oid = typeOidOf(node.TypeCast.typeName);
  const inner = operand(node.TypeCast.arg);
  // A cast of a string or parameter names its type; a cast between types computes.
  if (oid === undefined || inner === null || inner.oid !== 0) return null;
  return { ...inner, oid };
}

const CONSTANT_OIDS: Readonly<Record<string, number>> = {
  string: 0,
  null: 0,
  integer: Oid.int4,
  decimal: Oid.numeric,
  boolean: Oid.bool,
};

export interface Value {
  readonly text: string | null;
  /** 0: untyped. */
  readonly oid: number;
}

/** The operand's text and type; undefined when its parameter has no value. */
export function valueOf(operandGiven: Operand, parameters: readonly ParameterValue[]): Value | undefined {
  if (operandGiven.kind === 'constant') return operandGiven;
  const value = parameters[operandGiven.index - 1];
  if (value === undefined) return undefined;
  const declared = value.typeOid === Oid.unknown ? 0 : value.typeOid;
  if (operandGiven.oid !== 0 && declared !== 0 && declared !== operandGiven.oid) return undefined;
  return { text: value.text, oid: operandGiven.oid !== 0 ? operandGiven.oid : declared };
}

/** The bounds of comparisons with the time column; null: none. `utc`: the session's zone is UTC. */
export function timeRange(
  def: TableDef,
  found: readonly Comparison[],
  parameters: readonly ParameterValue[],
  utc: boolean,
): TimeRange | null {
  const column = def.columns.find((one) => one.fieldId === def.timeColumn);
  if (column === undefined) return null;
  let from: number | null = null;
  let to: number | null = null;
  for (const { operator, operand: given } of found) {
    const value = valueOf(given, parameters);
    if (value === undefined || value.text === null) continue;
    const micros = instantFor(column.type.oid, value, utc);
    if (micros === null) continue;
    const bound = column.type.oid === Oid.date ? Math.floor(micros / DAY_MICROS) : micros;
    // Inclusive on both sides: < and > keep their bound, which is only wider.
    if (operator !== '<' && operator !== '<=') from = from === null ? bound : Math.max(from, bound);
    if (operator !== '>' && operator !== '>=') to = to === null ? bound : Math.min(to, bound);
  }
  return from === null && to === null ? null : { from, to };
}

/** Microseconds since the epoch that a literal means when compared with a column; null: not certain. */
function instantFor(columnOid: number, value: Value, utc: boolean): number | null {
  const type = value.oid === 0 ? columnOid : value.oid;
  if (type !== Oid.date && type !== Oid.timestamp && type !== Oid.timestamptz) return null;
  const parsed = isoInstant(value.text!);
  if (parsed === null) return null;
  const literalZoned = type === Oid.timestamptz;
  const columnZoned = columnOid === Oid.timestamptz;
  if (literalZoned && parsed.offset === null && !utc) return null;
  // Across with and without a zone the session's zone decides.
  if (literalZoned !== columnZoned && !utc) return null;
  const offset = literalZoned && parsed.offset !== null ? parsed.offset : 0;
  const local = type === Oid.date ? Math.floor(parsed.micros / DAY_MICROS) * DAY_MICROS : parsed.micros;
  return local - offset;
}

const ISO =
  /^\s*(\d{4,5})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)?\s*$/i;

/** Local microseconds and the zone's offset; the time of day stays exact: 2^53 µs reach the year 2255. */
function isoInstant(text: string): { micros: number; offset: number | null } | null {
  const match = ISO.exec(text);
  if (match === null) return null;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone] = match;
  if (
    Number(month) < 1 ||
    Number(month) > 12 ||
    Number(day) < 1 ||
    Number(day) > 31 ||
    Number(hour) > 24 ||
    Number(minute) > 59 ||
    Number(second) > 60
  )
    return null;
  const days = daysFromCivil(Number(year), Number(month), Number(day));
  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second);
  const micros = days * DAY_MICROS + seconds * 1e6 + Number(fraction.padEnd(6, '0'));
  if (!Number.isSafeInteger(micros)) return null;
  return { micros, offset: zone === undefined ? null : zoneOffset(zone) };
}

function zoneOffset(zone: string): number {
  if (/^[zu]/i.test(zone)) return 0;
  const digits = zone.slice(1).replace(':', '');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2) || 0);
  return (zone.startsWith('-') ? -1 : 1) * minutes * 60e6;
}

/** Key values in key order when the comparisons say exactly `k1 = v1 AND …` over the whole key; null otherwise. */
export function pointKey(
  def: TableDef,
  found: readonly Comparison[],
  parameters: readonly ParameterValue[],
): readonly (string | null)[] | null {
  if (def.key.length === 0 || found.length !== def.key.length) return null;
  const key: (string | null)[] = [];
  for (const fieldId of def.key) {
    const column = def.columns.find((one) => one.fieldId === fieldId)!;
    const match = found.find((one) => one.column === column.name);
    if (match === undefined || match.operator !== '=') return null;
    const value = valueOf(match.operand, parameters);
    if (value === undefined) return null;
    const text = keyText(column.type, value);
    if (text === undefined) return null;
    key.push(text);
  }
  return key;
}

/** The parameters that such comparisons compare the key with, from 0 and in key order; null: not all are parameters without a cast. */
export function keyPlaces(def: TableDef, found: readonly Comparison[]): readonly number[] | null {
  if (def.key.length === 0 || found.length !== def.key.length) return null;
  const places: number[] = [];
  for (const fieldId of def.key) {
    const column = def.columns.find((one) => one.fieldId === fieldId)!;
    const match = found.find((one) => one.column === column.name);
    if (match?.operator !== '=' || match.operand.kind !== 'parameter' || match.operand.oid !== 0) return null;
    places.push(match.operand.index - 1);
  }
  return places;
}

const TIME = /^\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?$/;

/** Digits that the column's scale holds: others are equal to no value of it, and its input function would round them. */
function numericText(column: PgType, { text, oid }: Value): string | undefined {
  const modifier = numericModifier(column.typmod);
  if (modifier === null || text === null) return undefined;
  if (oid !== 0 && oid !== Oid.numeric && INTEGER_LIMITS[oid] === undefined) return undefined;
  const match = /^(-?\d+)(?:\.(\d+))?$/.exec(oid === Oid.numeric ? expandDecimal(text) : text.trim());
  if (match === null) return undefined;
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > modifier.scale || match[1]!.length > modifier.precision - modifier.scale) return undefined;
  return fraction === '' ? match[1]! : `${match[1]}.${fraction}`;
}

const INTEGER_LIMITS: Readonly<Record<number, number>> = {
  [Oid.int2]: 32767,
  [Oid.int4]: 2147483647,
  [Oid.int8]: Number.MAX_SAFE_INTEGER,
};

/** The value as its column's input function reads it, if it means the same there; undefined: let the engine compare. */
export function keyText(column: PgType, { text, oid }: Value): string | null | undefined {
  const columnOid = column.oid;
  if (text === null) return null;
  const limit = INTEGER_LIMITS[columnOid];
  if (limit !== undefined) {
    if (oid !== 0 && INTEGER_LIMITS[oid] === undefined && oid !== Oid.numeric) return undefined;
    const digits = oid === Oid.numeric ? expandDecimal(text) : text.trim();
    return /^-?\d{1,16}$/.test(digits) && Math.abs(Number(digits)) <= limit ? digits : undefined;
  }
  if (columnOid === Oid.text || columnOid === Oid.varchar)
    return oid === 0 || oid === Oid.text || oid === Oid.varchar ? text : undefined;
  // char(n): blanks at the end mean nothing beside it, but all they are beside text.
  if (columnOid === Oid.bpchar) return oid === 0 || oid === Oid.bpchar ? text : undefined;
  if (columnOid === Oid.name) return oid === 0 || oid === Oid.name ? text : undefined;
  if (columnOid === Oid.uuid || columnOid === Oid.bool || columnOid === Oid.bytea)
    return oid === 0 || oid === columnOid ? text : undefined;
  if (columnOid === Oid.time) return (oid === 0 || oid === Oid.time) && TIME.test(text) ? text : undefined;
  if (columnOid === Oid.numeric) return numericText(column, { text, oid });
  if (columnOid === Oid.date)
    return (oid === 0 || oid === Oid.date) && /^\d{4}-\d{2}-\d{2}$/.test(text) ? text : undefined;
  if (columnOid === Oid.timestamp || columnOid === Oid.timestamptz)
    return (oid === 0 || oid === columnOid) && ISO.test(text) ? text : undefined;
  return undefined;
}
