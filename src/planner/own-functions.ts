/**
 * Arka's own functions in a statement become typed constants before anything else sees them: PostgreSQL in PGlite would
 * answer for itself. The result column keeps the function's name.
 */
import type { Node } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { castTo, constantKind, constantText, plainName, stringsOf, walk } from './ast.ts';
import { columnName } from './column-names.ts';
import { NOW_TEXT, STATEMENT_TIME_TEXT } from './duckdb/session-time.ts';
import type { ParsedStatement } from './plan.ts';

export interface Constant {
  /** Null: NULL. */
  readonly text: string | null;
  readonly type: string;
  /** What the text is of, where the type is made from that. */
  readonly from?: string;
}

export type Constants = (name: string, args: readonly string[]) => Constant | undefined;

export interface Replaced {
  readonly node: Node;
  /** The statement's own text where nothing was replaced. */
  readonly text: string;
}

const VALUE_FUNCTIONS: Readonly<Record<string, string>> = {
  SVFOP_CURRENT_USER: 'current_user',
  SVFOP_SESSION_USER: 'session_user',
  SVFOP_USER: 'user',
  SVFOP_CURRENT_ROLE: 'current_role',
  SVFOP_CURRENT_CATALOG: 'current_catalog',
  SVFOP_CURRENT_SCHEMA: 'current_schema',
  SVFOP_CURRENT_TIMESTAMP: 'current_timestamp',
  SVFOP_LOCALTIMESTAMP: 'localtimestamp',
  SVFOP_CURRENT_DATE: 'current_date',
  SVFOP_CURRENT_TIME: 'current_time',
  SVFOP_LOCALTIME: 'localtime',
};

/** PostgreSQL in PGlite would say when its own transaction began. */
const TIMES: Readonly<Record<string, Constant>> = {
  now: { text: NOW_TEXT, type: 'timestamptz' },
  transaction_timestamp: { text: NOW_TEXT, type: 'timestamptz' },
  statement_timestamp: { text: STATEMENT_TIME_TEXT, type: 'timestamptz' },
  current_timestamp: { text: NOW_TEXT, type: 'timestamptz' },
  localtimestamp: { text: NOW_TEXT, type: 'timestamp', from: 'timestamptz' },
  current_date: { text: NOW_TEXT, type: 'date', from: 'timestamptz' },
  current_time: { text: NOW_TEXT, type: 'timetz', from: 'timestamptz' },
  localtime: { text: NOW_TEXT, type: 'time', from: 'timestamptz' },
};

/** now() and its relatives in a statement that PGlite runs, and 'now' as a value of a type of time. */
export function replaceTimes(node: Node, text: string): string {
  const replaced = replaceOwnFunctions({ node, text, parameterCount: 0, position: 0 }, (name, args) =>
    args.length === 0 && Object.hasOwn(TIMES, name) ? TIMES[name] : undefined,
  );
  return replaced.text;
}

export function replaceOwnFunctions(statement: ParsedStatement, constants: Constants): Replaced {
  const node = statement.node as Node;
  if (!mentionsOwn(node, constants)) return { node, text: statement.text };
  const copy = structuredClone(node);
  nameTargets(copy);
  const replaced = replace(copy, constants) as Node;
  return { node: replaced, text: Deparser.deparse(replaced) };
}

function mentionsOwn(node: Node, constants: Constants): boolean {
  let found = false;
  walk(node, (tag, body) => {
    if (!found && (tag === 'FuncCall' || tag === 'SQLValueFunction' || tag === 'TypeCast'))
      found = constantOf({ [tag]: body } as unknown as Node, constants) !== undefined;
  });
  return found;
}

const OF_TIME: ReadonlySet<string> = new Set(['timestamptz', 'timestamp', 'date', 'time', 'timetz']);

/** `timestamp 'now'`, which is the transaction's time; in a text that is no constant PostgreSQL inside reads it. */
function isWordNow(node: Node): boolean {
  if (!('TypeCast' in node) || !OF_TIME.has(plainName(node.TypeCast.typeName?.names))) return false;
  const { arg } = node.TypeCast;
  return arg !== undefined && constantKind(arg) === 'string' && /^\s*now\s*$/i.test(constantText(arg) ?? '');
}

function constantOf(node: Node, constants: Constants): Constant | undefined {
  if (isWordNow(node)) return constants('now', []);
  if ('SQLValueFunction' in node) {
    const name = VALUE_FUNCTIONS[(node.SQLValueFunction.op ?? '').replace(/_N$/, '')];
    return name === undefined ? undefined : constants(name, []);
  }
  if (!('FuncCall' in node)) return undefined;
  const args = (node.FuncCall.args ?? []).map((arg) =>
    constantText('TypeCast' in arg && arg.TypeCast.arg !== undefined ? arg.TypeCast.arg : arg),
  );
  if (args.includes(null)) return undefined;
  return constants(plainName(node.FuncCall.funcname), args as string[]);
}

/** `SELECT pg_backend_pid()` keeps its column's name when the call is gone. */
function nameTargets(node: Node): void {
  walk(node, (tag, body) => {
    if (tag !== 'SelectStmt') return;
    for (const target of (body['targetList'] as Node[] | undefined) ?? []) {
      if (
        'ResTarget' in target &&
        (target.ResTarget.name ?? '') === '' &&
        target.ResTarget.val !== undefined &&
        !isStar(target.ResTarget.val)
      ) {
        target.ResTarget.name = columnName(target.ResTarget.val);
      }
    }
  });
}

function isStar(node: Node): boolean {
  return 'ColumnRef' in node && (node.ColumnRef.fields ?? []).some((field) => 'A_Star' in field);
}

function replace(value: unknown, constants: Constants): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => replace(item, constants));
  const record = value as Record<string, unknown>;
  if ('FuncCall' in record || 'SQLValueFunction' in record) {
    const constant = constantOf(record as unknown as Node, constants);
    if (constant !== undefined) return typedConstant(constant, precisionOf(record as unknown as Node));
  }
  if ('TypeCast' in record && isWordNow(record as unknown as Node)) {
    const now = constantOf(record as unknown as Node, constants);
    if (now !== undefined) return { TypeCast: { ...(record['TypeCast'] as object), arg: typedConstant(now) } };
  }
  // A function in FROM must stay one: `SELECT * FROM pg_current_wal_lsn()` becomes a subquery.
  if ('RangeFunction' in record)
    return replaceScan(record as unknown as Node, constants) ?? replaceArguments(record, constants);
  for (const key in record) record[key] = replace(record[key], constants);
  return record;
}

/** The function itself stays, whatever its name. */
function replaceArguments(node: Record<string, unknown>, constants: Constants): unknown {
  walk(node, (tag, body) => {
    if (tag !== 'FuncCall') return true;
    body['args'] = replace(body['args'], constants);
    return false;
  });
  return node;
}

function replaceScan(node: Node, constants: Constants): unknown {
  if (!('RangeFunction' in node)) return undefined;
  const list = node.RangeFunction.functions?.[0];
  const call = list !== undefined && 'List' in list ? list.List.items?.[0] : undefined;
  if (call === undefined || !('FuncCall' in call) || node.RangeFunction.functions?.length !== 1) return undefined;
  const constant = constantOf(call, constants);
  if (constant === undefined) return undefined;
  const name = stringsOf(call.FuncCall.funcname).at(-1)!;
  const column = node.RangeFunction.alias?.aliasname ?? name;
  const target = { ResTarget: { name: column, val: typedConstant(constant) } };
  const select = { SelectStmt: { targetList: [target], limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' } };
  return { RangeSubselect: { subquery: select, alias: node.RangeFunction.alias ?? { aliasname: column } } };
}

/** That of CURRENT_TIMESTAMP(3). */
function precisionOf(node: Node): number | null {
  if (!('SQLValueFunction' in node) || !(node.SQLValueFunction.op ?? '').endsWith('_N')) return null;
  return node.SQLValueFunction.typmod ?? 0;
}

function typedConstant({ text, type, from }: Constant, precision: number | null = null): unknown {
  const constant = { A_Const: text === null ? { isnull: true } : { sval: { sval: text } } };
  return cast(from === undefined ? constant : cast(constant, from, null), type, precision);
}

function cast(arg: Node, type: string, precision: number | null): Node {
  return castTo(arg, type, precision === null ? {} : { typmods: [{ A_Const: { ival: { ival: precision } } }] });
}
