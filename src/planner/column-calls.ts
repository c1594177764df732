/**
 * nextval(), currval(), lastval() and setval(), and the functions that act on the session, as columns of a SELECT. They are Arka's to carry out, once a row: the query
 * that runs has their arguments in their places, and their values are put in when its rows come.
 */
import type { FuncCall, Node, SelectStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { isTemporarySchema } from '../table-def.ts';
import { Oid } from '../types/pg-type.ts';
import { sessionArguments, sessionFunction, sessionType, type SessionFunction } from './session-functions.ts';
import { castTo, constantText, plainName, stringNode, stringsOf } from './ast.ts';
import { columnName } from './column-names.ts';
import { generatorSequence } from './generators.ts';
import { isSequenceFunction } from './insert-values.ts';
import type { CatalogView, QueryPlan, ColumnCalls, CallColumn } from './plan.ts';
import { planQuery, type PlannerEnvironment } from './query-plan.ts';
import { identifierParts } from './utility.ts';

/** Null: the statement has no such column. */
export function planColumnCalls(
  node: Node,
  text: string,
  parameterCount: number,
  view: CatalogView,
  environment: PlannerEnvironment,
): QueryPlan | null {
  const select = (node as { SelectStmt: SelectStmt }).SelectStmt;
  const targets = select.targetList ?? [];
  const isPlain = (select.op ?? 'SETOP_NONE') === 'SETOP_NONE' && select.distinctClause === undefined;
  if (!isPlain || !targets.some((target) => callOf(target) !== null)) return null;
  const list: Node[] = [];
  const columns: CallColumn[] = [];
  for (const target of targets) {
    const call = callOf(target);
    if (call === null) {
      columns.push({ kind: 'pass', at: list.length });
      list.push(named(target));
      continue;
    }
    const args = 'session' in call ? call.args : argumentsOf(call.name, call.args, view);
    const place = { label: call.label, at: list.length, count: args.length };
    columns.push(
      'session' in call
        ? { kind: 'session', function: call.session, ...place }
        : { kind: call.name, isTemporary: isOfTemporary(call.args, view), ...place },
    );
    // under a name that ORDER BY does not know
    for (const val of args) list.push({ ResTarget: { val, name: `__arka_argument_${list.length}` } } as Node);
  }
  if (list.length === 0) list.push({ ResTarget: { val: { A_Const: { ival: { ival: 1 } } } } } as Node);
  const inner = { SelectStmt: { ...select, targetList: list } } as Node;
  const plan = planQuery(inner, Deparser.deparse(inner), parameterCount, view, environment);
  const calls: ColumnCalls = { columns, inner: plan };
  const own = columns.flatMap((column) =>
    column.kind === 'pass'
      ? []
      : [{ name: column.label, tableOid: 0, attnum: 0, typeOid: typeOfCall(column), typmod: -1 }],
  );
  return {
    ...plan,
    text,
    calls,
    described: own.length === columns.length && parameterCount === 0 ? own : null,
  };
}

export function typeOfCall(column: Exclude<CallColumn, { readonly kind: 'pass' }>): number {
  return column.kind === 'session' ? sessionType(column.function) : Oid.int8;
}

interface SessionCall {
  readonly session: SessionFunction;
  readonly label: string;
  readonly args: readonly Node[];
}

interface Call {
  readonly name: Exclude<CallColumn['kind'], 'pass' | 'session'>;
  readonly label: string;
  readonly args: readonly Node[];
}

const COUNTS: Readonly<Record<string, readonly number[]>> = {
  nextval: [1],
  currval: [1],
  lastval: [0],
  setval: [2, 3],
};

/** The call that a column of the result is; with another number of arguments it is PostgreSQL's to refuse. */
function callOf(target: Node): Call | SessionCall | null {
  const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
  if (value === undefined || !('FuncCall' in value)) return null;
  const session = sessionFunction(value.FuncCall.funcname);
  if (session !== undefined) return sessionCall(target, value.FuncCall, session);
  if (!isSequenceFunction(value.FuncCall.funcname)) return null;
  const name = plainName(value.FuncCall.funcname);
  const args = value.FuncCall.args ?? [];
  if (COUNTS[name]?.includes(args.length) !== true) return null;
  return { name: name as Call['name'], label: labelOf(target, name), args };
}

function sessionCall(target: Node, call: FuncCall, session: SessionFunction): SessionCall | null {
  const given = call.args ?? [];
  const types = sessionArguments(session, given.length);
  if (types === undefined) return null;
  const seconds = session.action === 'sleepFor' || session.action === 'sleepUntil';
  const args = given.map((arg, i) => (seconds ? epochOf(castTo(arg, types[i]!)) : castTo(arg, types[i]!)));
  return { session, label: labelOf(target, stringsOf(call.funcname).at(-1)!), args };
}

function labelOf(target: Node, name: string): string {
  const given = ('ResTarget' in target ? target.ResTarget.name : undefined) ?? '';
  return given === '' ? name : given;
}

/** A column keeps the name that it has in the statement. */
export function named(target: Node): Node {
  if (!('ResTarget' in target) || target.ResTarget.val === undefined || (target.ResTarget.name ?? '') !== '')
    return target;
  const { val } = target.ResTarget;
  if ('ColumnRef' in val) return target;
  return { ResTarget: { ...target.ResTarget, name: columnName(val) } } as Node;
}

function argumentsOf(name: Call['name'], args: readonly Node[], view: CatalogView): readonly Node[] {
  const [sequence, value, isCalled] = args;
  if (sequence === undefined) return [];
  const first = sequenceArgument(sequence, view);
  if (name !== 'setval') return [first];
  return [first, castTo(value!, 'int8'), isCalled === undefined ? literal('t') : castTo(isCalled, 'bool')];
}

function isOfTemporary([sequence]: readonly Node[], view: CatalogView): boolean {
  const inner = sequence !== undefined && 'TypeCast' in sequence ? sequence.TypeCast.arg : sequence;
  const text = inner === undefined ? null : constantText(inner);
  const parts = text === null ? [] : identifierParts(text);
  const def = parts.length === 0 ? undefined : view.sequence?.(parts.at(-2) ?? null, parts.at(-1)!);
  return def !== undefined && isTemporarySchema(def.schema);
}

/** The name as text: a constant, what pg_get_serial_sequence() says, or whatever it is. */
function sequenceArgument(node: Node, view: CatalogView): Node {
  const inner = 'TypeCast' in node && node.TypeCast.arg !== undefined ? node.TypeCast.arg : node;
  const text = constantText(inner);
  if (text !== null) {
    generatorSequence(text, view, inner);
    return literal(text);
  }
  if ('FuncCall' in inner && plainName(inner.FuncCall.funcname) === 'pg_get_serial_sequence') {
    const [table, column] = (inner.FuncCall.args ?? []).map(constantText);
    const parts = table === null || table === undefined ? [] : identifierParts(table);
    const def = parts.length === 0 ? undefined : view.table(parts.at(-2) ?? null, parts.at(-1)!);
    const fieldId = def?.columns.find((each) => each.name === column)?.fieldId;
    const owned = fieldId === undefined ? undefined : view.ownedSequence?.(def!.uuid, fieldId);
    if (owned !== undefined)
      return literal(`"${owned.schema.replaceAll('"', '""')}"."${owned.name.replaceAll('"', '""')}"`);
  }
  return castTo(node, 'text');
}

function literal(sval: string): Node {
  return castTo({ A_Const: { sval: { sval } } }, 'text');
}

/** Its seconds. */
function epochOf(arg: Node): Node {
  const args = [{ A_Const: { sval: { sval: 'epoch' } } }, arg];
  const call = { FuncCall: { funcname: [stringNode('pg_catalog'), stringNode('date_part')], args } };
  return castTo(call as unknown as Node, 'float8');
}
