/**
 * CHECK → a condition over one row (`check-def.ts`). Types are resolved as PostgreSQL resolves them for these operators and
 * functions; what is not among them is refused when the table is made, and named.
 */
import type { Node, TypeName } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import type { CheckFunction, Comparison, Condition, Operand } from '../check-def.ts';
import type { ColumnDef, PgType } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { putText } from '../types/parse-text-value.ts';
import {
  DECIMAL_DIGITS_MAX,
  numericModifier,
  numericTypmod,
  Oid,
  physicalOf,
  isWideNumeric,
} from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { atNode, constantKind, constantText, plainName, stringsOf, tagOf, unsupported } from './ast.ts';
import { checkKeptText } from './duckdb/literals.ts';
import { expandDecimal } from './constants.ts';
import { jsPattern, likePattern } from './check-patterns.ts';
import { arithmeticOf, castOf, functionOf, isRowFunction, memberOf } from './row-functions.ts';
import { columnType, typeOidOf } from './type-names.ts';
import { FLOATS, INTEGERS, TEXTS } from '../types/type-kinds.ts';

const BOOL: PgType = { oid: Oid.bool, typmod: -1 };
const INT4: PgType = { oid: Oid.int4, typmod: -1 };
const TEXT: PgType = { oid: Oid.text, typmod: -1 };
const UNKNOWN: PgType = { oid: Oid.unknown, typmod: -1 };

/** From the narrowest on. */
const INTEGERS_UP = [...INTEGERS];
const isNumber = ({ oid }: PgType): boolean => INTEGERS.has(oid) || FLOATS.has(oid) || oid === Oid.numeric;
const isText = ({ oid }: PgType): boolean => TEXTS.has(oid);

/** Types that are compared with themselves, beside numbers and texts. */
const OTHERS: ReadonlySet<number> = new Set([Oid.bool, Oid.date, Oid.time, Oid.timestamp, Oid.timestamptz, Oid.uuid]);

/** @throws {SqlError} 42703, 42804, 42883, 0A000, with positions */
export function checkCondition(node: Node, columns: readonly ColumnDef[], table: string): Condition {
  const maker = new Maker(columns, table);
  return maker.condition(node);
}

/** An expression of any type. @throws {SqlError} as for conditions */
export function rowOperand(node: Node, columns: readonly ColumnDef[], table: string): Operand {
  return new Maker(columns, table).value(node);
}

/** Names of the columns that an expression reads, once each. */
export function columnsRead(node: Node): readonly string[] {
  const names = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('ColumnRef' in value) names.add(stringsOf((value.ColumnRef as { fields?: Node[] }).fields).at(-1) ?? '');
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(node);
  return [...names];
}

class Maker {
  readonly #columns: readonly ColumnDef[];
  readonly #table: string;

  constructor(columns: readonly ColumnDef[], table: string) {
    this.#columns = columns;
    this.#table = table;
  }

  condition(node: Node): Condition {
    if ('BoolExpr' in node) {
      const of = (node.BoolExpr.args ?? []).map((arg) => this.condition(arg));
      if (node.BoolExpr.boolop === 'NOT_EXPR') return { is: 'not', of: of[0]! };
      return { is: node.BoolExpr.boolop === 'AND_EXPR' ? 'and' : 'or', of };
    }
    if ('NullTest' in node) {
      const { arg, nulltesttype } = node.NullTest;
      const test: Condition = { is: 'null', of: this.#comparand(arg!) };
      return nulltesttype === 'IS_NULL' ? test : { is: 'not', of: test };
    }
    if ('BooleanTest' in node) return this.#truth(node.BooleanTest.booltesttype ?? '', node.BooleanTest.arg!);
    if ('A_Expr' in node) {
      const made = this.#expression(node, node.A_Expr);
      if (made !== null) return made;
    }
    const operand = this.#operand(node, BOOL);
    if (operand.type.oid === Oid.bool) return { is: 'value', of: operand };
    throw new SqlError(
      SqlState.datatypeMismatch,
      `argument of CHECK must be type boolean, not type ${formatType(operand.type)}`,
      atNode(node),
    );
  }

  value(node: Node): Operand {
    return 'ColumnRef' in node ? this.#anyColumn(node, stringsOf(node.ColumnRef.fields)) : this.#computed(node, null);
  }

  #truth(type: string, arg: Node): Condition {
    const value = type.endsWith('TRUE') ? true : type.endsWith('FALSE') ? false : null;
    const test: Condition = { is: 'truth', of: this.condition(arg), value };
    return type.startsWith('IS_NOT_') ? { is: 'not', of: test } : test;
  }

  /** Null: it is no condition but arithmetic. */
  #expression(
    node: Node,
    { kind, name, lexpr, rexpr }: Extract<Node, { A_Expr: unknown }>['A_Expr'],
  ): Condition | null {
    const operator = plainName(name);
    switch (kind) {
      case 'AEXPR_OP':
        return this.#operator(node, operator, lexpr, rexpr!);
      case 'AEXPR_IN':
      case 'AEXPR_OP_ANY':
      case 'AEXPR_OP_ALL': {
        const values = listOf(rexpr);
        const word = kind.slice('AEXPR_'.length).replace('OP_', '');
        if (values === null) throw unsupported(`CHECK with this ${word}`, node);
        const isAsked = kind === 'AEXPR_IN' || operator === (kind === 'AEXPR_OP_ANY' ? '=' : '<>');
        if (!isAsked) throw unsupported(`CHECK with ${operator} ${word}`, node);
        const of = values.map((value) => this.#compare(node, '=', lexpr!, value));
        const any: Condition = { is: 'or', of };
        return operator === '<>' ? { is: 'not', of: any } : any;
      }
      case 'AEXPR_BETWEEN':
      case 'AEXPR_NOT_BETWEEN':
      case 'AEXPR_BETWEEN_SYM':
      case 'AEXPR_NOT_BETWEEN_SYM': {
        const [low, high] = listOf(rexpr) ?? [];
        const between = (from: Node, to: Node): Condition => ({
          is: 'and',
          of: [this.#compare(node, '>=', lexpr!, from), this.#compare(node, '<=', lexpr!, to)],
        });
        const either: Condition = kind.endsWith('SYM')
          ? { is: 'or', of: [between(low!, high!), between(high!, low!)] }
          : between(low!, high!);
        return kind.includes('NOT') ? { is: 'not', of: either } : either;
      }
      case 'AEXPR_DISTINCT':
      case 'AEXPR_NOT_DISTINCT': {
        const [left, right] = this.#pair(node, '=', lexpr!, rexpr!);
        const distinct: Condition = { is: 'distinct', left, right };
        return kind === 'AEXPR_DISTINCT' ? distinct : { is: 'not', of: distinct };
      }
      case 'AEXPR_LIKE':
      case 'AEXPR_ILIKE': {
        const match = this.#match(lexpr!, rexpr!, likePattern, kind === 'AEXPR_ILIKE', node);
        return operator.startsWith('!') ? { is: 'not', of: match } : match;
      }
      default:
        throw unsupported(`CHECK with this expression`, node);
    }
  }

  #operator(node: Node, operator: string, lexpr: Node | undefined, rexpr: Node): Condition | null {
    if (operator === '!=') return this.#compare(node, '<>', lexpr!, rexpr);
    if (lexpr !== undefined && ['=', '<>', '<', '<=', '>', '>='].includes(operator))
      return this.#compare(node, operator as Comparison, lexpr, rexpr);
    if (['~', '~*', '!~', '!~*'].includes(operator)) {
      const match = this.#match(lexpr!, rexpr, jsPattern, operator.endsWith('*'), node);
      return operator.startsWith('!') ? { is: 'not', of: match } : match;
    }
    return null;
  }

  #match(
    lexpr: Node,
    rexpr: Node,
    translate: (pattern: string, node: Node) => string,
    insensitive: boolean,
    node: Node,
  ): Condition {
    const of = this.#operand(lexpr, TEXT);
    if (!isText(of.type)) throw noOperator(node, of.type, TEXT);
    // its blanks would count
    if (of.type.oid === Oid.bpchar) throw unsupported('CHECK with a pattern over character(n)', node);
    const pattern = constantKind(rexpr) === 'string' ? constantText(rexpr) : null;
    if (pattern === null) throw unsupported('CHECK with a pattern that is no constant', rexpr);
    return { is: 'match', of, pattern: translate(pattern, rexpr), flags: insensitive ? 'sui' : 'su' };
  }

  #compare(node: Node, op: Comparison, lexpr: Node, rexpr: Node): Condition {
    const [left, right] = this.#pair(node, op, lexpr, rexpr);
    return { is: 'compare', op, left, right };
  }

  /** Two operands that are compared; an untyped literal has the type of the other. */
  #pair(node: Node, op: string, lexpr: Node, rexpr: Node): readonly [Operand, Operand] {
    let left = this.#comparand(lexpr);
    let right = this.#comparand(rexpr);
    if (isKeyed(left) || isKeyed(right)) return keyedPair(left, right, op, [lexpr, rexpr, node]);
    if (left.type.oid === Oid.unknown) left = typed(left, right.type.oid === Oid.unknown ? TEXT : right.type, lexpr);
    if (right.type.oid === Oid.unknown) right = typed(right, left.type, rexpr);
    const same = left.type.oid === right.type.oid && OTHERS.has(left.type.oid);
    const [one, other] = [left.type.oid, right.type.oid];
    if ((one === Oid.bpchar && other === Oid.varchar) || (one === Oid.varchar && other === Oid.bpchar))
      throw unsupported(`CHECK with ${formatType(left.type)} ${op} ${formatType(right.type)}`, node);
    if (same || (isNumber(left.type) && isNumber(right.type)) || (isText(left.type) && isText(right.type)))
      return [left, right];
    const times = [Oid.date, Oid.timestamp, Oid.timestamptz] as readonly number[];
    if ((times.includes(left.type.oid) && times.includes(right.type.oid)) || left.type.oid === right.type.oid)
      throw unsupported(`CHECK with ${formatType(left.type)} ${op} ${formatType(right.type)}`, node);
    throw noOperator(node, left.type, right.type);
  }

  /** What is compared, or asked whether it is NULL: the only places for columns whose values are texts. */
  #comparand(node: Node): Operand {
    return this.value(node);
  }

  /** One that functions of plain values take. */
  #operand(node: Node, wanted: PgType | null): Operand {
    const operand = 'ColumnRef' in node ? this.value(node) : this.#computed(node, wanted);
    if (isKeyed(operand))
      throw unsupported(`CHECK with more than a comparison of type ${formatType(operand.type)}`, node);
    return operand;
  }

  #computed(node: Node, wanted: PgType | null): Operand {
    const kind = constantKind(node);
    if (kind !== undefined) return constant(node, kind, wanted);
    if ('TypeCast' in node) return this.#cast(node, node.TypeCast.arg!, node.TypeCast.typeName);
    if ('CoalesceExpr' in node) return this.#choice('coalesce', node.CoalesceExpr.args ?? [], node);
    if ('MinMaxExpr' in node)
      return this.#choice(node.MinMaxExpr.op === 'IS_LEAST' ? 'least' : 'greatest', node.MinMaxExpr.args ?? [], node);
    if ('CaseExpr' in node) return this.#case(node, node.CaseExpr);
    if ('BoolExpr' in node || 'NullTest' in node || 'BooleanTest' in node)
      return { kind: 'condition', of: this.condition(node), type: BOOL };
    if ('FuncCall' in node) return this.#call(node, plainName(node.FuncCall.funcname), node.FuncCall.args ?? []);
    if ('SQLValueFunction' in node && node.SQLValueFunction.op === 'SVFOP_CURRENT_TIMESTAMP')
      return { kind: 'now', type: { oid: Oid.timestamptz, typmod: -1 } };
    if ('SQLValueFunction' in node && node.SQLValueFunction.op === 'SVFOP_CURRENT_DATE')
      return { kind: 'now', type: { oid: Oid.date, typmod: -1 } };
    if ('A_Expr' in node) {
      const of = this.#expression(node, node.A_Expr);
      if (of !== null) return { kind: 'condition', of, type: BOOL };
    }
    if ('A_Expr' in node && node.A_Expr.kind === 'AEXPR_OP')
      return this.#arithmetic(node, plainName(node.A_Expr.name), node.A_Expr.lexpr, node.A_Expr.rexpr!);
    if ('SubLink' in node)
      throw new SqlError(SqlState.featureNotSupported, 'cannot use subquery in check constraint', atNode(node));
    throw unsupported(`CHECK with ${tagOf(node)}`, node);
  }

  #anyColumn(node: Node, fields: readonly string[]): Operand {
    const [name, table] = [fields.at(-1), fields.at(-2)];
    const column = this.#columns.find((each) => each.name === name);
    if (table !== undefined && table !== this.#table)
      throw new SqlError(SqlState.undefinedTable, `missing FROM-clause entry for table "${table}"`, atNode(node));
    if (column === undefined)
      throw new SqlError(SqlState.undefinedColumn, `column "${name}" does not exist`, atNode(node));
    return { kind: 'column', fieldId: column.fieldId, type: column.type };
  }

  #cast(node: Node, arg: Node, typeName: TypeName | undefined): Operand {
    const oid = typeOidOf(typeName);
    if (oid === undefined) throw unsupported('CHECK with a cast to this type', node);
    const hasModifier = (typeName?.typmods ?? []).length > 0;
    const type: PgType = hasModifier ? columnType(typeName!, '') : { oid, typmod: -1 };
    const kind = constantKind(arg);
    if (kind !== undefined) {
      const text = constantText(arg);
      const plain: Operand = {
        kind: 'constant',
        text,
        type: oid === Oid.numeric ? numericOf(text ?? '0') : { oid, typmod: -1 },
      };
      return hasModifier ? this.#otherType(node, plain, type) : plain;
    }
    const operand = this.value(arg);
    if (hasModifier) return this.#otherType(node, operand, type);
    if (operand.type.oid === oid) return operand;
    if (TEXTS.has(oid) && isText(operand.type)) return operand.type.oid === Oid.bpchar ? { ...operand, type } : operand;
    if (
      INTEGERS.has(oid) &&
      INTEGERS.has(operand.type.oid) &&
      INTEGERS_UP.indexOf(oid) > INTEGERS_UP.indexOf(operand.type.oid)
    )
      return { kind: 'cast', of: operand, type };
    if (oid === Oid.int4 && operand.kind === 'condition') return { ...operand, type };
    return this.#otherType(node, operand, type);
  }

  #otherType(node: Node, operand: Operand, type: PgType): Operand {
    const cast =
      [Oid.varchar, Oid.numeric].includes(type.oid as never) || type.typmod < 0 ? castOf(operand, type) : null;
    if (cast === null)
      throw unsupported(`CHECK with a cast of ${formatType(operand.type)} to ${formatType(type)}`, node);
    return cast;
  }

  #case(node: Node, { arg, args = [], defresult }: Extract<Node, { CaseExpr: unknown }>['CaseExpr']): Operand {
    if (arg !== undefined) throw unsupported('CHECK with CASE of a value', node);
    const whens = args.flatMap((each) => ('CaseWhen' in each ? [each.CaseWhen] : []));
    const results = [...whens.map((each) => each.result!), defresult].map((each) =>
      each === undefined ? NULL_OPERAND : this.#operand(each, null),
    );
    const type = results.find((each) => each.type.oid !== Oid.unknown)?.type ?? TEXT;
    const same = results.map((each) => (each.type.oid === Oid.unknown ? typed(each, type, node) : each));
    if (same.some((each) => !isSame(each.type, type))) throw unsupported('CHECK with CASE of several types', node);
    return {
      kind: 'case',
      whens: whens.map((each, i) => ({ test: this.condition(each.expr!), result: same[i]! })),
      otherwise: same.at(-1)!,
      type,
    };
  }

  #choice(name: 'coalesce' | 'greatest' | 'least', nodes: readonly Node[], node: Node): Operand {
    const operands = nodes.map((each) => this.#operand(each, null));
    const type = operands.find((each) => each.type.oid !== Oid.unknown)?.type ?? TEXT;
    const args = operands.map((each) => (each.type.oid === Oid.unknown ? typed(each, type, node) : each));
    if (args.some((each) => !isSame(each.type, type)))
      throw unsupported(`CHECK with ${name.toUpperCase()} of several types`, node);
    return { kind: 'call', name, args, type };
  }

  #call(node: Node, name: string, nodes: readonly Node[]): Operand {
    if (['now', 'transaction_timestamp', 'statement_timestamp', 'clock_timestamp'].includes(name) && nodes.length === 0)
      return { kind: 'now', type: { oid: Oid.timestamptz, typmod: -1 } };
    const known = FUNCTIONS[name];
    const other = this.#otherCall(name, nodes);
    if (other !== null) return other;
    if (known === undefined) throw unsupported(`CHECK with ${name}()`, node);
    const args = nodes.map((each) => this.#operand(each, known.takesText ? TEXT : null));
    if (name === 'octet_length' && args[0]?.type.oid === Oid.bpchar)
      throw unsupported('CHECK with octet_length(character)', node);
    if (name === 'num_nonnulls') return { kind: 'call', name, args, type: INT4 };
    if (name === 'mod' && args.length === 2) return this.#divided(node, '%', args[0]!, args[1]!);
    if (known.args === 2 && args.length === 2 && args.every((each) => isText(each.type)))
      return { kind: 'call', name: known.name, args, type: known.type };
    const [first, ...rest] = args;
    if (first === undefined || rest.length > 0 || (known.takesText ? !isText(first.type) : !isNumber(first.type)))
      throw unsupported(`CHECK with ${name}(${args.map((each) => formatType(each.type)).join(', ')})`, node);
    return { kind: 'call', name: known.name, args, type: known.takesText ? known.type : first.type };
  }

  /** Of `row-functions.ts`; untyped constants are texts there. */
  #otherCall(name: string, nodes: readonly Node[]): Operand | null {
    if (!isRowFunction(name)) return null;
    const args = nodes.map((each) => {
      const kind = constantKind(each);
      return kind === undefined ? this.value(each) : constant(each, kind, TEXT);
    });
    return functionOf(name, args);
  }

  #divided(node: Node, op: '/' | '%', left: Operand, right: Operand): Operand {
    if (!INTEGERS.has(left.type.oid) || !INTEGERS.has(right.type.oid))
      throw unsupported(`CHECK with ${formatType(left.type)} ${op} ${formatType(right.type)}`, node);
    return { kind: 'arithmetic', op, left, right, type: resultType(op, left.type, right.type) };
  }

  #arithmetic(node: Node, op: string, lexpr: Node | undefined, rexpr: Node): Operand {
    const right = this.value(rexpr);
    if (lexpr === undefined && isWideNumeric(right.type) && op === '-')
      return arithmeticOf('-', { kind: 'constant', text: '0', type: INT4 }, right)!;
    if (lexpr === undefined && isKeyed(right)) throw unsupported(`CHECK with operator ${op}`, node);
    if (lexpr === undefined && (op === '-' || op === '+') && isNumber(right.type)) {
      const zero: Operand = { kind: 'constant', text: '0', type: INTEGERS.has(right.type.oid) ? right.type : INT4 };
      return { kind: 'arithmetic', op, left: zero, right, type: right.type };
    }
    if (lexpr === undefined) throw unsupported(`CHECK with operator ${op}`, node);
    const left = this.value(lexpr);
    const isPlain = !isKeyed(left) && !isKeyed(right);
    const isOfIntegers = INTEGERS.has(left.type.oid) && INTEGERS.has(right.type.oid);
    if (!isPlain || (!isOfIntegers && !['+', '-', '*'].includes(op))) {
      const side = (of: Operand, at: Node): Operand => (of.type.oid === Oid.unknown ? typed(of, TEXT, at) : of);
      const sides = [side(left, lexpr), side(right, rexpr)] as const;
      const other = arithmeticOf(op, ...sides) ?? memberOf(op, ...sides);
      if (other !== null) return other;
      if (!isPlain) throw unsupported(`CHECK with ${formatType(left.type)} ${op} ${formatType(right.type)}`, node);
    }
    if (op === '/' || op === '%') return this.#divided(node, op, left, right);
    if (op === '*' && scaleOf(left.type) + scaleOf(right.type) > DECIMAL_DIGITS_MAX) {
      const product = arithmeticOf(op, left, right);
      if (product !== null) return product;
    }
    if (op !== '+' && op !== '-' && op !== '*') throw unsupported(`CHECK with operator ${op}`, node);
    if (!isNumber(left.type) || !isNumber(right.type))
      throw unsupported(`CHECK with ${formatType(left.type)} ${op} ${formatType(right.type)}`, node);
    return { kind: 'arithmetic', op, left, right, type: resultType(op, left.type, right.type) };
  }
}

type OneFunction = Exclude<CheckFunction, 'coalesce' | 'greatest' | 'least'>;

const FUNCTIONS: Readonly<
  Record<string, { readonly name: OneFunction; readonly takesText: boolean; readonly type: PgType; readonly args?: 2 }>
> = {
  length: { name: 'length', takesText: true, type: INT4 },
  char_length: { name: 'length', takesText: true, type: INT4 },
  character_length: { name: 'length', takesText: true, type: INT4 },
  octet_length: { name: 'octet_length', takesText: true, type: INT4 },
  lower: { name: 'lower', takesText: true, type: TEXT },
  upper: { name: 'upper', takesText: true, type: TEXT },
  btrim: { name: 'trim', takesText: true, type: TEXT },
  strpos: { name: 'strpos', takesText: true, type: INT4, args: 2 },
  position: { name: 'strpos', takesText: true, type: INT4, args: 2 },
  starts_with: { name: 'starts_with', takesText: true, type: BOOL, args: 2 },
  abs: { name: 'abs', takesText: false, type: INT4 },
  mod: { name: 'abs', takesText: false, type: INT4 },
  num_nonnulls: { name: 'num_nonnulls', takesText: false, type: INT4 },
};

function constant(node: Node, kind: string, wanted: PgType | null): Operand {
  const text = constantText(node);
  switch (kind) {
    case 'integer':
      return { kind: 'constant', text, type: INT4 };
    case 'decimal': {
      const digits = expandDecimal(text!);
      const isWhole = /^-?\d+$/.test(digits) && BigInt(digits) <= 9_223_372_036_854_775_807n;
      return { kind: 'constant', text: digits, type: isWhole ? { oid: Oid.int8, typmod: -1 } : numericOf(digits) };
    }
    case 'boolean':
      return { kind: 'constant', text, type: BOOL };
    case 'string':
    case 'null':
      return { kind: 'constant', text, type: wanted ?? UNKNOWN };
    default:
      throw unsupported('CHECK with a bit string', node);
  }
}

/** The numeric type that holds a literal. */
function numericOf(text: string): PgType {
  const scale = /\.(\d*)/.exec(text)?.[1]?.length ?? 0;
  return { oid: Oid.numeric, typmod: numericTypmod(38, Math.min(scale, 38)) };
}

/** An untyped literal gets its type. @throws {SqlError} what its input function says, at its position */
function typed(operand: Operand, type: PgType, node: Node): Operand {
  if (operand.kind !== 'constant') return operand;
  const own = type.oid === Oid.numeric ? numericOf(operand.text ?? '0') : { oid: type.oid, typmod: -1 };
  try {
    if (operand.text !== null) checkKeptText(operand.text, own.oid);
    if (operand.text !== null) putText(textInput(own), operand.text, new VectorBuilder(physicalOf(own)));
  } catch (error) {
    throw error instanceof SqlError ? error.with(atNode(node)) : error;
  }
  return { ...operand, type: own };
}

/** Values that compare by a key. */
function isKeyed({ type }: Operand): boolean {
  return isWideNumeric(type) || type.oid === Oid.interval || type.oid === Oid.timetz;
}

/** Two operands of which one compares by a key; an untyped literal has the type of the other. */
function keyedPair(
  left: Operand,
  right: Operand,
  op: string,
  nodes: readonly [Node, Node, Node],
): readonly [Operand, Operand] {
  const keyed = isKeyed(left) ? left.type : right.type;
  const type: PgType = { oid: keyed.oid, typmod: -1 };
  const isExact = (each: PgType): boolean => each.oid === Oid.numeric || INTEGERS.has(each.oid);
  const keys = [left, right].map((operand, i): Operand => {
    if (operand.type.oid === Oid.unknown || (operand.kind === 'constant' && isExact(operand.type) && isExact(type)))
      return { kind: 'key', of: literal(operand, type, nodes[i]!), type };
    if (operand.type.oid === type.oid || (isExact(operand.type) && isExact(type)))
      return { kind: 'key', of: operand, type };
    if (isNumber(left.type) && isNumber(right.type))
      throw unsupported(`CHECK with ${formatType(left.type)} ${op} ${formatType(right.type)}`, nodes[2]);
    throw noOperator(nodes[2], left.type, right.type);
  });
  return [keys[0]!, keys[1]!];
}

/** @throws {SqlError} what the type's input function says of it */
function literal(operand: Operand, type: PgType, node: Node): Operand {
  if (operand.kind !== 'constant') throw unsupported('CHECK with an untyped value', node);
  try {
    if (operand.text !== null) checkKeptText(operand.text, type.oid);
    if (operand.text !== null) putText(textInput(type), operand.text, new VectorBuilder(physicalOf(type)));
  } catch (error) {
    throw error instanceof SqlError ? error.with(atNode(node)) : error;
  }
  return { ...operand, type };
}

const NULL_OPERAND: Operand = { kind: 'constant', text: null, type: UNKNOWN };

/** Values of the two stand for the same without a cast. */
function isSame(a: PgType, b: PgType): boolean {
  if (a.oid === Oid.numeric && b.oid === Oid.numeric) return scaleOf(a) === scaleOf(b);
  return a.oid === b.oid || (isText(a) && isText(b)) || (INTEGERS.has(a.oid) && INTEGERS.has(b.oid));
}

function listOf(node: Node | undefined): readonly Node[] | null {
  if (node === undefined) return null;
  if ('List' in node) return node.List.items ?? [];
  if ('A_ArrayExpr' in node) return node.A_ArrayExpr.elements ?? [];
  // `(ARRAY['a'::character varying])::text[]`, as PostgreSQL writes an IN of a varchar back
  const { arg, typeName } = 'TypeCast' in node ? node.TypeCast : {};
  if (arg === undefined || typeName?.arrayBounds === undefined || !('A_ArrayExpr' in arg)) return null;
  const { arrayBounds: _, ...element } = typeName;
  return (arg.A_ArrayExpr.elements ?? []).map((each): Node => ({ TypeCast: { arg: each, typeName: element } }));
}

function scaleOf({ oid, typmod }: PgType): number {
  return oid === Oid.numeric ? (numericModifier(typmod)?.scale ?? 0) : 0;
}

function resultType(op: string, left: PgType, right: PgType): PgType {
  if (FLOATS.has(left.oid) || FLOATS.has(right.oid)) return { oid: Oid.float8, typmod: -1 };
  if (left.oid === Oid.numeric || right.oid === Oid.numeric) {
    const scale = op === '*' ? scaleOf(left) + scaleOf(right) : Math.max(scaleOf(left), scaleOf(right));
    return { oid: Oid.numeric, typmod: numericTypmod(38, scale) };
  }
  return { oid: INTEGERS_UP[Math.max(INTEGERS_UP.indexOf(left.oid), INTEGERS_UP.indexOf(right.oid))]!, typmod: -1 };
}

function noOperator(node: Node, left: PgType, right: PgType): SqlError {
  const name = 'A_Expr' in node ? plainName(node.A_Expr.name) : '=';
  const shown = (type: PgType): string => formatType({ oid: type.oid, typmod: -1 });
  const position = 'A_Expr' in node ? { position: (node.A_Expr.location ?? 0) + 1 } : {};
  return new SqlError(SqlState.undefinedFunction, `operator does not exist: ${shown(left)} ${name} ${shown(right)}`, {
    hint: 'No operator matches the given name and argument types. You might need to add explicit type casts.',
    ...position,
  });
}
