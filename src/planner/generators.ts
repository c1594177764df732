/**
 * Expressions that are worked out for each row when it is written, natively: sequences, random values, the clock. As column
 * defaults and as values of INSERT … VALUES.
 */
import type { Node, TypeName } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, DefaultFunction, NowShift } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { atNode, constantText, plainName } from './ast.ts';
import { isNow } from './constants.ts';
import { intervalParts } from './interval-parts.ts';
import type { CatalogView, Generated } from './plan.ts';
import { identifierParts } from './utility.ts';
import { NUMBERS, TEXTS } from '../types/type-kinds.ts';

const TIMES: ReadonlySet<number> = new Set([Oid.date, Oid.timestamp, Oid.timestamptz]);

/** Functions without arguments, and the columns that they are assigned to. */
const FUNCTIONS: Readonly<Record<string, { readonly name: DefaultFunction; readonly types: ReadonlySet<number> }>> = {
  gen_random_uuid: { name: 'gen_random_uuid', types: new Set([Oid.uuid, ...TEXTS]) },
  uuid_generate_v4: { name: 'gen_random_uuid', types: new Set([Oid.uuid, ...TEXTS]) },
  random: { name: 'random', types: new Set([Oid.float4, Oid.float8]) },
  now: { name: 'now', types: TEXTS },
  transaction_timestamp: { name: 'now', types: TEXTS },
  statement_timestamp: { name: 'now', types: TEXTS },
  clock_timestamp: { name: 'clock_timestamp', types: new Set([...TIMES, ...TEXTS]) },
};

const USERS: ReadonlySet<string> = new Set([
  'SVFOP_CURRENT_USER',
  'SVFOP_SESSION_USER',
  'SVFOP_USER',
  'SVFOP_CURRENT_ROLE',
]);

/** Null: it is nothing of the kind. @throws {SqlError} 42P01 for a sequence that is not there */
export function generatorFor(node: Node, column: ColumnDef, view: CatalogView): Generated | null {
  const call = sequenceCall(node, view);
  if (call !== null) return NUMBERS.has(column.type.oid) || TEXTS.has(column.type.oid) ? call : null;
  if (isNow(node, column)) return { kind: 'now', sql: nowSql(node) };
  const named = functionFor(node, column);
  return named ?? shiftedNow(node, column);
}

/** nextval('s'), currval('s'), lastval(). */
function sequenceCall(node: Node, view: CatalogView): Generated | null {
  if (!('FuncCall' in node)) return null;
  const name = plainName(node.FuncCall.funcname);
  const args = node.FuncCall.args ?? [];
  if (name === 'lastval' && args.length === 0) return { kind: 'lastval' };
  if ((name !== 'nextval' && name !== 'currval') || args.length !== 1) return null;
  const [arg] = args as [Node];
  const text = constantText('TypeCast' in arg && arg.TypeCast.arg !== undefined ? arg.TypeCast.arg : arg);
  return text === null ? null : { kind: name, sequence: generatorSequence(text, view, arg) };
}

/** The OID of a sequence by the name that a statement has for it. @throws {SqlError} 42P01, 42809 */
export function generatorSequence(text: string, view: CatalogView, node: Node): number {
  const parts = identifierParts(text);
  const found = view.sequence?.(parts.at(-2) ?? null, parts.at(-1)!);
  if (found !== undefined) return found.oid;
  if (view.table(parts.at(-2) ?? null, parts.at(-1)!) !== undefined)
    throw new SqlError(SqlState.wrongObjectType, `"${parts.at(-1)}" is not a sequence`);
  throw new SqlError(SqlState.undefinedTable, `relation "${text}" does not exist`, atNode(node));
}

function functionFor(node: Node, column: ColumnDef): Generated | null {
  if ('SQLValueFunction' in node) {
    const { op = '' } = node.SQLValueFunction;
    if (!TEXTS.has(column.type.oid)) return null;
    if (op === 'SVFOP_CURRENT_TIMESTAMP') return { kind: 'function', function: 'now', sql: nowSql(node) };
    return USERS.has(op) ? { kind: 'function', function: 'current_user', sql: op.slice(6) } : null;
  }
  const cast = 'TypeCast' in node ? node.TypeCast : undefined;
  const inner = cast?.arg ?? node;
  if (!('FuncCall' in inner) || (inner.FuncCall.args ?? []).length > 0) return null;
  const known = FUNCTIONS[plainName(inner.FuncCall.funcname)];
  if (known === undefined) return null;
  const sql = `${plainName(inner.FuncCall.funcname)}()`;
  if (cast === undefined)
    return known.types.has(column.type.oid) ? { kind: 'function', function: known.name, sql } : null;
  // gen_random_uuid()::text
  const target = plainName(cast.typeName?.names);
  const isText = (target === 'text' || target === 'varchar') && (cast.typeName?.typmods ?? []).length === 0;
  if (known.name !== 'gen_random_uuid' || !isText || !TEXTS.has(column.type.oid)) return null;
  return {
    kind: 'function',
    function: known.name,
    sql: `(${sql})::${target === 'text' ? 'text' : 'character varying'}`,
  };
}

/** now() ± an interval, and now() AT TIME ZONE. */
function shiftedNow(node: Node, column: ColumnDef): Generated | null {
  const shift = shiftOf(node, column);
  return shift === null ? null : { kind: 'now', ...shift };
}

function shiftOf(node: Node, column: ColumnDef): { readonly sql: string; readonly shift: NowShift } | null {
  if (!TIMES.has(column.type.oid)) return null;
  const zoned = zoneOf(node);
  if (zoned !== null) {
    const shift = { zone: zoned.zone, months: 0, days: 0, micros: 0 };
    const [zone, now] = [`'${zoned.zone.replaceAll("'", "''")}'::text`, nowSql(zoned.now)];
    return { shift, sql: zoned.isCall ? `timezone(${zone}, ${now})` : `(${now} AT TIME ZONE ${zone})` };
  }
  if (!('A_Expr' in node) || node.A_Expr.kind !== 'AEXPR_OP' || column.type.oid === Oid.date) return null;
  const operator = plainName(node.A_Expr.name);
  const { lexpr, rexpr } = node.A_Expr;
  if ((operator !== '+' && operator !== '-') || lexpr === undefined || rexpr === undefined) return null;
  if (!isNow(lexpr, column) || isLocal(lexpr)) return null;
  const parts = intervalParts(rexpr);
  if (parts === null) return null;
  const sign = operator === '-' ? -1 : 1;
  const { months, days, micros, text } = parts;
  return {
    shift: { zone: null, months: sign * months, days: sign * days, micros: sign * micros },
    sql: `(${nowSql(lexpr)} ${operator} '${text}'::interval)`,
  };
}

/** LOCALTIMESTAMP and CURRENT_DATE are not instants. */
function isLocal(node: Node): boolean {
  return 'SQLValueFunction' in node && node.SQLValueFunction.op !== 'SVFOP_CURRENT_TIMESTAMP';
}

function zoneOf(node: Node): { readonly now: Node; readonly zone: string; readonly isCall: boolean } | null {
  if (!('FuncCall' in node) || plainName(node.FuncCall.funcname) !== 'timezone') return null;
  const [zone, now] = node.FuncCall.args ?? [];
  if (zone === undefined || now === undefined) return null;
  const text = constantText('TypeCast' in zone && isTextCast(zone.TypeCast.typeName) ? zone.TypeCast.arg! : zone);
  const isCall = node.FuncCall.funcformat !== 'COERCE_SQL_SYNTAX';
  const instant = { type: { oid: Oid.timestamptz, typmod: -1 } } as ColumnDef;
  return text === null || !isNow(now, instant) || isLocal(now) ? null : { now, zone: text, isCall };
}

function isTextCast(type: TypeName | undefined): boolean {
  return plainName(type?.names) === 'text' && type?.arrayBounds === undefined;
}

export function nowSql(node: Node): string {
  if ('FuncCall' in node) return `${plainName(node.FuncCall.funcname)}()`;
  if (!('SQLValueFunction' in node)) return 'now()';
  switch (node.SQLValueFunction.op) {
    case 'SVFOP_CURRENT_DATE':
      return 'CURRENT_DATE';
    case 'SVFOP_LOCALTIMESTAMP':
      return 'LOCALTIMESTAMP';
    default:
      return 'CURRENT_TIMESTAMP';
  }
}

const ofItself = ({ name, generated }: ColumnDef): { readonly detail: string } => ({
  detail:
    generated === undefined
      ? `Column "${name}" is an identity column defined as GENERATED ALWAYS.`
      : `Column "${name}" is a generated column.`,
});

/** 428C9: a value for a column that makes its own. */
export function generatedAlways(column: ColumnDef): SqlError {
  return new SqlError(SqlState.generatedAlways, `cannot insert a non-DEFAULT value into column "${column.name}"`, {
    ...ofItself(column),
    ...(column.generated === undefined ? { hint: 'Use OVERRIDING SYSTEM VALUE to override.' } : {}),
  });
}

/** The same of UPDATE. */
export function onlyDefault(column: ColumnDef): SqlError {
  return new SqlError(SqlState.generatedAlways, `column "${column.name}" can only be updated to DEFAULT`, {
    ...ofItself(column),
  });
}
