/**
 * PostgreSQL expression trees → DuckDB SQL with PostgreSQL's meaning. Every node kind written here is one that was
 * looked at; any other is 0A000. Everything is bracketed: the two grammars disagree about precedence.
 */
import { NOW_SQL } from './session-time.ts';
import { quoteLiteral } from '../../sql-text.ts';
import type { A_Expr, FuncCall, Node, SubLink } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid, arrayTypeOf } from '../../types/pg-type.ts';
import { at, atNode, constantKind, constantText, plainName, tagOf } from '../ast.ts';
import { expandDecimal } from '../constants.ts';
import { formatType } from '../../types/format-type.ts';
import { checkScales, isArray, writeSubscripts } from './arrays.ts';
import { countedRow, writeAggregate } from './aggregates.ts';
import { readsRows, refuseConstantQuotient } from './constant-folding.ts';
import { combined, unionType, type Combination } from './common-type.ts';
import { decimal } from './decimals.ts';
import { functionRule, type FunctionRule } from './functions.ts';
import { numericValue, writeCast } from './casts.ts';
import { typeOidOf } from '../type-names.ts';
import { checkLsnArguments } from './lsn.ts';
import {
  checkComparable,
  checkEqualAsStored,
  coerced,
  compared,
  isRealBesideOther,
  writeArrayComparison,
  writeComparison,
  writeOperator,
  writePrefix,
} from './operators.ts';
import { writeLike } from './patterns.ts';
import { asFloat, isBeyondDecimal, isExact, isWide, wideCall, wideText } from './wide-numeric.ts';
import { writeSubquery, type WrittenQuery } from './query.ts';
import { writeRowComparison, writeRowInQuery } from './rows.ts';
import { columnOf, writeColumn, type Scope } from './scope.ts';
import { apart, orderKey, sortKey } from './sort-keys.ts';
import { isFloat, kept, parameterMark, small, typed, WIDE_NUMERIC, widened, type Typed } from './typed.ts';

/** @throws {SqlError} 0A000 naming what DuckDB cannot do as PostgreSQL means it; 42703 and others as PostgreSQL */
export function writeExpression(node: Node, outer: Scope): Typed {
  const scope = outer.isFilter === true && !mayFilter(node) ? { ...outer, isFilter: false } : outer;
  if ('ColumnRef' in node) return writeColumn(node.ColumnRef, scope);
  if ('A_Const' in node) return writeConstant(node);
  if ('ParamRef' in node) return writeParameter(node.ParamRef.number ?? 0, scope);
  if ('A_Expr' in node) return writeAExpr(node.A_Expr, scope);
  if ('BoolExpr' in node) {
    const clause = (node.BoolExpr.boolop ?? '').replace('_EXPR', '');
    const inside = within(scope);
    const args = (node.BoolExpr.args ?? []).map((arg) => writeCondition(arg, inside(arg), clause));
    if (node.BoolExpr.boolop === 'NOT_EXPR') return typed(`(NOT ${args[0]})`, Oid.bool);
    return typed(`(${args.join(node.BoolExpr.boolop === 'OR_EXPR' ? ' OR ' : ' AND ')})`, Oid.bool);
  }
  if ('TypeCast' in node) return writeCast(node.TypeCast, writeExpression(node.TypeCast.arg!, scope));
  if ('FuncCall' in node) return writeCall(node.FuncCall, scope);
  if ('NullTest' in node) {
    if ('RowExpr' in node.NullTest.arg!) throw notSupported('IS NULL of a row over Arka tables', atNode(node));
    const tested = writeExpression(node.NullTest.arg!, scope);
    return typed(`(${tested.sql} IS ${node.NullTest.nulltesttype === 'IS_NOT_NULL' ? 'NOT ' : ''}NULL)`, Oid.bool);
  }
  if ('BooleanTest' in node)
    return writeBooleanTest(node.BooleanTest.booltesttype ?? '', writeExpression(node.BooleanTest.arg!, scope));
  if ('CaseExpr' in node) return writeCase(node, scope);
  if ('CoalesceExpr' in node) return writeList('coalesce', node.CoalesceExpr.args ?? [], scope);
  if ('MinMaxExpr' in node) {
    return writeList(node.MinMaxExpr.op === 'IS_GREATEST' ? 'greatest' : 'least', node.MinMaxExpr.args ?? [], scope);
  }
  if ('SubLink' in node) return writeSubLink(node.SubLink, scope);
  if ('SQLValueFunction' in node) return writeValueFunction(node.SQLValueFunction.op ?? '', node);
  if ('A_Indirection' in node)
    return writeSubscripts(node.A_Indirection, writeExpression(node.A_Indirection.arg!, scope), (each) =>
      writeExpression(each, scope),
    );
  if ('A_ArrayExpr' in node) return writeArray(node.A_ArrayExpr.elements ?? [], scope);
  if ('GroupingFunc' in node) {
    return typed(
      `grouping(${(node.GroupingFunc.args ?? []).map((arg) => writeExpression(arg, scope).sql).join(', ')})`,
      Oid.int4,
    );
  }
  if ('CollateClause' in node) {
    const collation = plainName(node.CollateClause.collname);
    if (collation === 'C' || collation === 'POSIX' || collation === 'ucs_basic' || collation === 'default')
      return writeExpression(node.CollateClause.arg!, scope);
    throw notSupported(`collation "${collation}" over Arka tables`, atNode(node));
  }
  throw notSupported(`${NODE_NAMES[tagOf(node)] ?? tagOf(node)} over Arka tables`, atNode(node));
}

/** Below it false and NULL stay the same, or it asks itself. */
function mayFilter(node: Node): boolean {
  return 'BoolExpr' in node ? node.BoolExpr.boolop !== 'NOT_EXPR' : 'SubLink' in node;
}

/** Behind a part of AND, OR or coalesce that may be a constant the rest may be left out. */
function within(scope: Scope): (part: Node) => Scope {
  let inside = scope;
  return (part) => {
    const own = inside;
    if (!readsRows([part])) inside = { ...inside, isConditional: true };
    return own;
  };
}

/** @throws {SqlError} 42804 for what is no boolean: DuckDB would cast it */
export function writeCondition(node: Node, scope: Scope, clause: string): string {
  const isFilter = scope.isFilter === true || clause === 'WHERE';
  const value = writeExpression(node, isFilter ? { ...scope, isFilter } : scope);
  if (value.oid !== Oid.bool && value.oid !== Oid.unknown && value.oid !== 0) {
    const type = formatType({ oid: value.oid, typmod: -1 });
    throw new SqlError(
      SqlState.datatypeMismatch,
      `argument of ${clause} must be type boolean, not type ${type}`,
      atNode(node),
    );
  }
  return value.sql;
}

const NODE_NAMES: Readonly<Record<string, string>> = {
  RowExpr: 'a row value',
  XmlExpr: 'XML',
  SetToDefault: 'DEFAULT in this place',
  JsonObjectConstructor: 'JSON_OBJECT',
  JsonArrayConstructor: 'JSON_ARRAY',
  JsonFuncExpr: 'an SQL/JSON function',
  MultiAssignRef: 'assignment of a row',
};

function writeConstant(node: Node): Typed {
  const text = constantText(node);
  switch (constantKind(node)) {
    case 'null':
      return { ...typed('NULL', Oid.unknown), constant: null };
    case 'string':
      return { ...typed(quoteLiteral(text!), Oid.unknown), constant: text, ...atNode(node) };
    case 'boolean':
      return { ...typed(text!, Oid.bool), constant: text! };
    case 'integer':
      return { ...typed(text!.startsWith('-') ? `(${text})` : text!, Oid.int4), constant: text };
    case 'decimal':
      return WHOLE.test(text!) ? writeNumber(expandDecimal(text!)) : numericValue(expandDecimal(text!));
    default:
      throw notSupported('a bit string over Arka tables', atNode(node));
  }
}

/** With a point or an exponent it is a numeric, whatever its value. */
const WHOLE = /^-?(?:0[xob][\da-f_]+|[\d_]+)$/i;

function writeNumber(text: string): Typed {
  if (/^-?\d+$/.test(text)) {
    const value = BigInt(text);
    if (value >= -(2n ** 63n) && value < 2n ** 63n)
      return { ...typed(`CAST('${text}' AS BIGINT)`, Oid.int8), constant: text };
  }
  return numericValue(text);
}

function writeParameter(index: number, scope: Scope): Typed {
  return { ...typed(parameterMark(index), scope.context.parameterOids[index - 1] ?? 0), parameter: index };
}

function writeAExpr(expression: A_Expr, scope: Scope): Typed {
  const operator = plainName(expression.name);
  const where = at(expression.location);
  const { lexpr, rexpr } = expression;
  if (lexpr !== undefined && 'RowExpr' in lexpr) return writeRowComparison(expression, operator, scope);
  switch (expression.kind) {
    case 'AEXPR_OP':
      if (scope.parent === null && scope.isConditional !== true) refuseConstantQuotient(expression);
      if (lexpr === undefined) return writePrefix(operator, writeExpression(rexpr!, scope), where);
      return writeOperator(operator, writeExpression(lexpr, scope), writeExpression(rexpr!, scope), where);
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
      return writeLikeExpression(expression, operator, scope);
    case 'AEXPR_IN':
      return writeIn(
        writeExpression(lexpr!, scope),
        listItems(rexpr!).map((item) => writeExpression(item, scope)),
        operator === '<>',
        where,
      );
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
    case 'AEXPR_NOT_BETWEEN_SYM': {
      const [low, high] = listItems(rexpr!).map((item) => writeExpression(item, scope));
      return writeBetween(writeExpression(lexpr!, scope), low!, high!, expression.kind, where);
    }
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT': {
      const [left, right] = widened(writeExpression(lexpr!, scope), writeExpression(rexpr!, scope));
      checkComparable(left, where);
      checkComparable(right, where);
      const not = expression.kind === 'AEXPR_NOT_DISTINCT' ? 'NOT ' : '';
      return typed(
        `(${compared(left, right, where)} IS ${not}DISTINCT FROM ${compared(right, left, where)})`,
        Oid.bool,
      );
    }
    case 'AEXPR_NULLIF': {
      const left = writeExpression(lexpr!, scope);
      const right = writeExpression(rexpr!, scope);
      if ((isExact(left) && (isWide(left) || isWide(right))) || isRealBesideOther(left, right))
        return nullable(
          left,
          `CASE WHEN ${writeComparison('=', left, right, where).sql} THEN NULL ELSE ${left.sql} END`,
        );
      checkEqualAsStored(left, where);
      return nullable(left, `nullif(${left.sql}, ${coerced(right, left, where)})`);
    }
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL':
      if ('A_ArrayExpr' in rexpr! && !/^([<>]=?|=|<>|!=)$/.test(operator))
        return writeEach(expression, operator, rexpr.A_ArrayExpr.elements ?? [], scope);
      return writeArrayComparison(
        expression,
        operator,
        writeExpression(lexpr!, scope),
        writeExpression(rexpr!, scope),
        where,
      );
    case 'AEXPR_SIMILAR':
      throw notSupported('SIMILAR TO over Arka tables', where);
    default:
      throw notSupported(`operator ${operator} in this form over Arka tables`, where);
  }
}

function listItems(node: Node): readonly Node[] {
  return 'List' in node ? (node.List.items ?? []) : [node];
}

/** `x LIKE ANY (ARRAY[a, b])`: with each, joined. */
function writeEach(
  { kind, lexpr, location }: A_Expr,
  operator: string,
  elements: readonly Node[],
  scope: Scope,
): Typed {
  const left = writeExpression(lexpr!, scope);
  const each = elements.map((node) => writeOperator(operator, left, writeExpression(node, scope), at(location)).sql);
  if (each.length === 0) return typed(String(kind === 'AEXPR_OP_ALL'), Oid.bool);
  return typed(`(${each.join(kind === 'AEXPR_OP_ALL' ? ' AND ' : ' OR ')})`, Oid.bool);
}

function writeIn(left: Typed, items: readonly Typed[], negated: boolean, where: { position?: number }): Typed {
  checkComparable(left, where);
  for (const item of items) checkComparable(item, where);
  const isMixed = items.some(
    (item) =>
      (isWide(item) && !isWide(left)) ||
      (isFloat(item.oid) && isWide(left)) ||
      isBeyondDecimal(item, left) ||
      (items.length === 1 && isRealBesideOther(item, left)), // of several PostgreSQL takes the common type, real
  );
  if (isMixed) {
    const each = items.map((item) => writeComparison('=', left, item, where).sql);
    return typed(`(${negated ? 'NOT ' : ''}(${each.join(' OR ')}))`, Oid.bool);
  }
  return typed(
    `(${sortKey(kept(left, left.sql), left.oid)} ${negated ? 'NOT ' : ''}IN (${items.map((item) => compared(item, left, where)).join(', ')}))`,
    Oid.bool,
  );
}

function writeBetween(value: Typed, low: Typed, high: Typed, kind: string, where: { position?: number }): Typed {
  const inside = (from: Typed, to: Typed): string =>
    `(${writeComparison('>=', value, from, where).sql} AND ${writeComparison('<=', value, to, where).sql})`;
  const sql = kind.endsWith('SYM') ? `(${inside(low, high)} OR ${inside(high, low)})` : inside(low, high);
  return typed(kind.includes('NOT') ? `(NOT ${sql})` : sql, Oid.bool);
}

function writeLikeExpression(expression: A_Expr, operator: string, scope: Scope): Typed {
  const left = writeExpression(expression.lexpr!, scope);
  const right = expression.rexpr!;
  const negated = operator.startsWith('!');
  const insensitive = expression.kind === 'AEXPR_ILIKE';
  if ('FuncCall' in right && plainName(right.FuncCall.funcname) === 'like_escape') {
    const [pattern, escape] = (right.FuncCall.args ?? []).map((arg) => writeExpression(arg, scope));
    return writeLike(left, pattern!, escape!, insensitive, negated);
  }
  return writeLike(left, writeExpression(right, scope), null, insensitive, negated);
}

function writeBooleanTest(kind: string, argument: Typed): Typed {
  const tests: Readonly<Record<string, string>> = {
    IS_TRUE: 'IS TRUE',
    IS_NOT_TRUE: 'IS NOT TRUE',
    IS_FALSE: 'IS FALSE',
    IS_NOT_FALSE: 'IS NOT FALSE',
    IS_UNKNOWN: 'IS NULL',
    IS_NOT_UNKNOWN: 'IS NOT NULL',
  };
  return typed(`(${argument.sql} ${tests[kind]})`, Oid.bool);
}

function writeCase(node: Node & { CaseExpr: unknown }, scope: Scope): Typed {
  const { arg, args, defresult } = (node as { CaseExpr: { arg?: Node; args?: Node[]; defresult?: Node } }).CaseExpr;
  const subject = arg === undefined ? null : writeExpression(arg, scope);
  const results: Typed[] = [];
  let inside = scope;
  const conditions = (args ?? []).map((branch) => {
    if (!('CaseWhen' in branch)) throw notSupported('this CASE over Arka tables', atNode(branch));
    const { expr } = branch.CaseWhen;
    const condition =
      subject === null
        ? writeCondition(expr!, inside, 'CASE/WHEN')
        : writeComparison('=', subject, writeExpression(expr!, inside), atNode(branch)).sql;
    // What may be a constant leaves its branch out, or all that follow.
    const isAsked = readsRows([expr, arg]);
    if (!isAsked) inside = { ...inside, isConditional: true };
    results.push(writeExpression(branch.CaseWhen.result!, inside));
    return condition;
  });
  const otherwise = defresult === undefined ? null : writeExpression(defresult, inside);
  if (otherwise !== null) results.push(otherwise);
  const branches = (values: readonly string[]): string => {
    const chosen = conditions.map((condition, i) => `WHEN ${condition} THEN ${values[i]}`).join(' ');
    return `CASE ${chosen}${otherwise === null ? '' : ` ELSE ${values.at(-1)}`} END`;
  };
  return combined(results, { sql: branches, scale: branches });
}

function writeList(name: 'coalesce' | 'greatest' | 'least', nodes: readonly Node[], scope: Scope): Typed {
  const inside = within(scope);
  const args = nodes.map((arg) => writeExpression(arg, inside(arg)));
  if (name !== 'coalesce') for (const arg of args) if (!isWide(arg)) checkEqualAsStored(arg, {});
  return combined(args, LISTS[name]);
}

const LISTS: Readonly<Record<'coalesce' | 'greatest' | 'least', Combination>> = {
  coalesce: {
    sql: (parts) => `coalesce(${parts.join(', ')})`,
    scale: (scales, values) =>
      `CASE ${values.map((value, i) => `WHEN ${value} IS NOT NULL THEN ${scales[i]}`).join(' ')} END`,
  },
  greatest: extreme('greatest', 'arka_numeric_larger'),
  least: extreme('least', 'arka_numeric_smaller'),
};

/** The first of equal ones. */
function extreme(name: string, ofTexts: string): Combination {
  return {
    sql: (parts) => `${name}(${parts.join(', ')})`,
    scale: (scales, values) =>
      `CASE ${name}(${values.join(', ')}) ${values.map((value, i) => `WHEN ${value} THEN ${scales[i]}`).join(' ')} END`,
    text: (parts) => parts.reduce((a, b) => `coalesce(${ofTexts}(${a}, ${b}), ${a}, ${b})`),
  };
}

function writeArray(elements: readonly Node[], scope: Scope): Typed {
  const args = elements.map((element) => writeExpression(element, scope));
  checkLsnArguments(args, 'array');
  if (args.some(isWide)) throw notSupported('an array of numeric without precision over Arka tables');
  if (elements.some((element) => 'A_ArrayExpr' in element) || args.some(isArray))
    throw notSupported('an array of more than one dimension over Arka tables');
  if (new Set(args.map((arg) => arg.decimal?.scale)).size > 1) checkScales(unionType(args), 'ARRAY[…]');
  return typed(`[${args.map((arg) => arg.sql).join(', ')}]`, arrayTypeOf(unionType(args)));
}

/** EXISTS (SELECT FROM t): of a query without columns it asks for rows alone. */
function withColumn(query: Node): Node {
  if (!('SelectStmt' in query)) return query;
  const { targetList, fromClause, larg, valuesLists } = query.SelectStmt;
  if (targetList !== undefined || larg !== undefined || valuesLists !== undefined || fromClause === undefined)
    return query;
  const one = { ResTarget: { val: { A_Const: { ival: { ival: 1 } } } } } as unknown as Node;
  return { SelectStmt: { ...query.SelectStmt, targetList: [one] } };
}

function writeSubLink(link: SubLink, scope: Scope): Typed {
  if (link.testexpr !== undefined && 'RowExpr' in link.testexpr) return writeRowInQuery(link, scope);
  const where = at(link.location);
  const isExists = link.subLinkType === 'EXISTS_SUBLINK';
  const subselect = isExists ? withColumn(link.subselect!) : link.subselect!;
  const query = writeSubquery(subselect, { ...scope, isFilter: false });
  const oid = query.outputs?.length === 1 ? query.outputs[0]!.oid : 0;
  switch (link.subLinkType) {
    case 'EXISTS_SUBLINK':
      return typed(`EXISTS (${query.sql})`, Oid.bool);
    case 'EXPR_SUBLINK':
      return {
        ...columnOf(`(${query.sql})`, query.outputs?.length === 1 ? query.outputs[0] : undefined),
        subquery: query.sql,
      };
    case 'ARRAY_SUBLINK':
      return arrayOfRows(query, oid, where);
    case 'ANY_SUBLINK':
    case 'ALL_SUBLINK': {
      const given = writeExpression(link.testexpr!, { ...scope, isFilter: false });
      const { test, rows } = sidesOf(given, query, oid);
      if (!isWide(given)) checkEqualAsStored(given, where);
      if (query.outputs !== null && query.outputs.length !== 1)
        throw new SqlError(SqlState.syntaxError, 'subquery has too many columns', where);
      const operator = plainName(link.operName);
      if (operator === '' && link.subLinkType === 'ANY_SUBLINK') return typed(`(${test} IN (${rows}))`, Oid.bool);
      if (!/^(=|<>|!=|[<>]=?)$/.test(operator))
        throw notSupported(`operator ${operator} with a subquery over Arka tables`, where);
      return typed(`(${test} ${operator} ${link.subLinkType === 'ANY_SUBLINK' ? 'ANY' : 'ALL'} (${rows}))`, Oid.bool);
    }
    default:
      throw notSupported('this form of subquery over Arka tables', where);
  }
}

/** A value and the one column of a query, as they compare. */
function sidesOf(given: Typed, query: WrittenQuery, oid: number): { readonly test: string; readonly rows: string } {
  if (!isWide(given) && oid !== WIDE_NUMERIC) {
    const [{ sql: test }, { sql: column }] = widened(given, typed('arka_one.c', oid));
    const isAsGiven = column === 'arka_one.c';
    return { test, rows: isAsGiven ? query.sql : `SELECT ${column} FROM (${query.sql}) AS arka_one(c)` };
  }
  const rows = (write: (column: string) => string): string =>
    `SELECT ${write('arka_one.c')} FROM (${query.sql}) AS arka_one(c)`;
  if (isFloat(given.oid) || isFloat(oid))
    return { test: asFloat(given).sql, rows: rows((c) => asFloat(typed(c, oid)).sql) };
  const key = (value: Typed): string => sortKey(wideText(value), WIDE_NUMERIC);
  return { test: key(given), rows: rows((c) => key(typed(c, oid))) };
}

/** The rows of a query of one column as an array, in the query's order. */
function arrayOfRows({ sql, outputs }: WrittenQuery, oid: number, where: { position?: number }): Typed {
  const array = arrayTypeOf(oid);
  if (outputs?.length !== 1 || array === 0) throw notSupported('ARRAY(SELECT …) of this type over Arka tables', where);
  return typed(`(SELECT coalesce(list(one.c), []) FROM (${sql}) AS one(c))`, array);
}

function writeValueFunction(op: string, node: Node): Typed {
  switch (op) {
    case 'SVFOP_CURRENT_TIMESTAMP':
      return typed(NOW_SQL, Oid.timestamptz);
    case 'SVFOP_LOCALTIMESTAMP':
      return typed(`CAST(${NOW_SQL} AS TIMESTAMP)`, Oid.timestamp);
    case 'SVFOP_CURRENT_DATE':
      return typed(`CAST(${NOW_SQL} AS DATE)`, Oid.date);
    default:
      throw notSupported(`${op.replace('SVFOP_', '')} over Arka tables`, atNode(node));
  }
}

/** The type of a function that is called by its name: date(x) is a cast. Without one, char would have a length. */
function castBy({ funcname, args = [], over, agg_distinct, agg_filter, agg_order, location }: FuncCall) {
  const names = { names: funcname ?? [], typemod: -1, ...(location === undefined ? {} : { location }) };
  const isPlain = over === undefined && agg_distinct !== true && agg_filter === undefined && agg_order === undefined;
  const isOne = args.length === 1 && !('NamedArgExpr' in args[0]!);
  return isPlain && isOne && !/^b?p?char$/.test(plainName(funcname)) && typeOidOf(names) !== undefined
    ? names
    : undefined;
}

function writeCall(call: FuncCall, scope: Scope): Typed {
  const name = plainName(call.funcname);
  const where = at(call.location);
  const rule = functionRule(name);
  const cast = rule === undefined ? castBy(call) : undefined;
  if (cast !== undefined) return writeCast({ typeName: cast }, writeExpression(call.args![0]!, scope));
  if (rule === undefined)
    throw new SqlError(SqlState.featureNotSupported, `function ${name} is not supported yet over Arka tables`, where);
  if (call.func_variadic === true) throw notSupported(`VARIADIC of function ${name} over Arka tables`, where);
  const nodes = call.args ?? [];
  if (nodes.some((arg) => 'NamedArgExpr' in arg))
    throw notSupported(`a named argument of function ${name} over Arka tables`, where);
  const row = countedRow(name, call, scope);
  const given = row === undefined ? nodes.map((arg) => writeExpression(arg, scope)) : [row];
  const args = rule.ofFloats === true ? given.map(asFloat) : given;
  try {
    const wide = wideCall(name, args);
    if (wide !== undefined) return wide;
    if (rule.arity !== undefined && (args.length < rule.arity[0] || args.length > rule.arity[1]))
      throw notSupported(`function ${name} with ${args.length} arguments over Arka tables`);
    checkLsnArguments(args, name);
    rule.check?.(args, name);
    if (rule.kind === undefined) return writeScalar(rule, name, args, call);
    return writeAggregate(rule, name, args, call, scope);
  } catch (error) {
    throw error instanceof SqlError ? error.with(where) : error;
  }
}

function writeScalar(rule: FunctionRule, name: string, args: readonly Typed[], call: FuncCall): Typed {
  if (
    call.over !== undefined ||
    call.agg_distinct === true ||
    call.agg_filter !== undefined ||
    call.agg_order !== undefined
  ) {
    throw new SqlError(SqlState.wrongObjectType, `${name} is not an aggregate function`);
  }
  if (rule.write !== undefined) return rule.write(args, name);
  const value = typed(`${rule.to ?? name}(${args.map((arg) => arg.sql).join(', ')})`, resultType(rule, args));
  return likeFirst(rule, small(value), args);
}

/** With the scale of its first argument, where it has its type. */
export function likeFirst({ type }: FunctionRule, value: Typed, [first]: readonly Typed[]): Typed {
  if (type !== 'first' || first === undefined) return value;
  const same = nullable(first, value.sql, value.oid);
  return value.fallible === true ? { ...same, fallible: true } : same;
}

/** Another value of the type of `like`, and of its scale. */
function nullable(like: Typed, sql: string, oid = like.oid): Typed {
  const form = oid === Oid.numeric ? like.decimal : undefined;
  return form === undefined ? typed(sql, oid) : decimal(sql, form.precision, form.scale);
}

export function resultType(rule: FunctionRule, args: readonly Typed[]): number {
  if (rule.type === undefined) return 0;
  if (rule.type === 'first') return args[0]?.oid === Oid.unknown ? Oid.text : (args[0]?.oid ?? 0);
  return typeof rule.type === 'number' ? rule.type : rule.type(args);
}

/** An ORDER BY item; where NULLs go is always said. */
export function writeSort(item: Node, scope: Scope, output?: (node: Node) => Typed | undefined): string {
  if (!('SortBy' in item)) throw notSupported('this ORDER BY over Arka tables', atNode(item));
  const { node, sortby_dir: direction, sortby_nulls: nulls } = item.SortBy;
  if (direction === 'SORTBY_USING') throw notSupported('ORDER BY … USING over Arka tables', atNode(node));
  const value = output?.(node!) ?? apart(writeExpression(node!, scope));
  checkComparable(value, atNode(node));
  const descending = direction === 'SORTBY_DESC';
  const first = nulls === 'SORTBY_NULLS_FIRST' || (nulls !== 'SORTBY_NULLS_LAST' && descending);
  return `${orderKey(value)} ${descending ? 'DESC' : 'ASC'} NULLS ${first ? 'FIRST' : 'LAST'}`;
}
