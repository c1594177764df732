/** PREPARE and EXECUTE: the statement, the names of its parameters' types, and the values as a query that reads no table. */
import type { ExecuteStmt, Node, PrepareStmt } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState } from '../errors.ts';
import { formatType } from '../types/format-type.ts';
import { Oid } from '../types/pg-type.ts';
import { at, constantKind, constantText, walk } from './ast.ts';
import { innerStatement } from './inner-statement.ts';
import { parseSql } from './parse.ts';
import type { ParsedStatement, Statement } from './plan.ts';
import type { Execute } from './session-statements.ts';

export function planPrepare(statement: ParsedStatement, { name = '', argtypes = [], query }: PrepareStmt): Statement {
  const types = argtypes.length === 0 ? null : Deparser.deparse(typesQuery(argtypes));
  const { source: text = statement.text } = statement;
  return { kind: 'prepare', name, types, inner: innerStatement(statement, query!, 'prepare'), text };
}

/** Its parameters have the types. */
function typesQuery(types: readonly Node[]): Node {
  const targetList = types.map((type, i) => ({
    ResTarget: {
      val: { TypeCast: { arg: { ParamRef: { number: i + 1 } }, typeName: (type as { TypeName: unknown }).TypeName } },
    },
  }));
  return {
    SelectStmt: { targetList, limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' },
  } as unknown as Node;
}

export function planExecute({ name = '', params = [] }: ExecuteStmt): Execute {
  walk(params, (tag, body) => {
    if (tag !== 'ParamRef') return;
    const number = (body['number'] as number | undefined) ?? 0;
    throw new SqlError(
      SqlState.undefinedParameter,
      `there is no parameter $${number}`,
      at(body['location'] as number | undefined),
    );
  });
  return { kind: 'execute', name, args: params };
}

/** Types whose input takes a number as it is written. */
const TAKE_NUMBERS: ReadonlySet<number> = new Set([
  Oid.int2,
  Oid.int4,
  Oid.int8,
  Oid.float4,
  Oid.float8,
  Oid.numeric,
  Oid.text,
  Oid.varchar,
]);

/** Texts of the values where all are constants that their types' input functions take; null: `valuesQuery` has to run. */
export function constantValues(args: readonly unknown[], oids: readonly number[]): (string | null)[] | null {
  const values: (string | null)[] = [];
  for (const [i, arg] of (args as readonly Node[]).entries()) {
    const kind = constantKind(arg);
    if (kind !== 'string' && kind !== 'null' && !(kind === 'integer' && TAKE_NUMBERS.has(oids[i]!))) return null;
    values.push(constantText(arg));
  }
  return values;
}

/** One row: the values, cast to the parameters' types, as texts. */
export function valuesQuery(args: readonly unknown[], oids: readonly number[]): ParsedStatement {
  const texts = (args as readonly Node[]).map((arg, i) => {
    const value = Deparser.deparse(arg);
    return `CAST(${value} AS ${formatType({ oid: oids[i]!, typmod: -1 })})`;
  });
  return parseSql(`SELECT ${texts.join(', ')}`)[0]!;
}
