/** DEFAULT of a column: constants, and what `generators.ts` knows to work out for each row. */
import type { Node } from 'libpg-query';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import type { ColumnDef, ColumnDefault } from '../table-def.ts';
import { putText } from '../types/parse-text-value.ts';
import { canonicalNumeric } from '../types/numeric-text.ts';
import { elementOf, numericModifier, numericTypmod, Oid, physicalOf, isWideNumeric } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { at, constantKind, constantText, walk } from './ast.ts';
import { checkKeptText } from './duckdb/literals.ts';
import { constantFor } from './constants.ts';
import { generatorFor } from './generators.ts';
import { isSequenceFunction } from './insert-values.ts';
import type { CatalogView } from './plan.ts';
import { formatType } from '../types/format-type.ts';

/** Null: PostgreSQL is to work it out. @throws {SqlError} 0A000, 42804 */
export function columnDefault(expression: Node, column: ColumnDef, view: CatalogView): ColumnDefault | null {
  const generated = generatorFor(expression, column, view);
  if (generated !== null && generated.kind !== 'currval' && generated.kind !== 'lastval') return generated;
  const constant = defaultConstant(expression, column);
  if (constant === undefined) {
    refuseParts(expression);
    return null;
  }
  if (constant.text === null)
    return { kind: 'constant', sql: `NULL::${formatType({ oid: column.type.oid, typmod: -1 })}`, text: null };
  checkKeptText(constant.text, column.type.oid);
  checkInput(column, constant.text);
  return { kind: 'constant', sql: defaultSql(expression, column, constant.text), text: constant.text };
}

/** Of what length the type takes is said when a row is written. @throws {SqlError} 22P02, 22007 and the like, of the type's input */
function checkInput({ type: { oid, typmod } }: ColumnDef, text: string): void {
  if (isWideNumeric({ oid, typmod })) {
    canonicalNumeric(text);
    return;
  }
  const element = elementOf({ oid, typmod }) ?? { oid, typmod };
  const scale = element.oid === Oid.numeric && !isWideNumeric(element) ? numericModifier(typmod)!.scale : null;
  const type = { oid, typmod: scale === null ? -1 : numericTypmod(38, scale) };
  putText(textInput(type), text, new VectorBuilder(physicalOf(type)));
}

export function unfoldedDefault(column: ColumnDef, position: number | undefined): SqlError {
  return notSupported(`the default of column "${column.name}"`, {
    hint: 'A default is an expression of constants, nextval(), now() with or without an interval, or one of gen_random_uuid(), random(), clock_timestamp() and CURRENT_USER.',
    ...(position === undefined ? {} : { position }),
  });
}

/** @throws {SqlError} as PostgreSQL refuses columns, subqueries and parameters of other rows in a default */
function refuseParts(expression: Node): void {
  const refused = (what: string, body: Record<string, unknown>): SqlError =>
    new SqlError(
      SqlState.featureNotSupported,
      `cannot use ${what} in DEFAULT expression`,
      at(body['location'] as number),
    );
  walk(expression, (tag, body) => {
    if (tag === 'ColumnRef') throw refused('column reference', body);
    if (tag === 'SubLink') throw refused('subquery', body);
    if (tag === 'FuncCall' && isSequenceFunction(body['funcname'] as Node[]))
      throw notSupported('a sequence inside the expression of a default', at(body['location'] as number));
  });
}

function defaultConstant(expression: Node, column: ColumnDef): { readonly text: string | null } | undefined {
  const constant = constantFor(expression, column);
  if (constant !== undefined) return constant;
  // '…'::varchar(10) for a varchar(10) column and the like: the input function checks the length by itself.
  if (
    'TypeCast' in expression &&
    expression.TypeCast.arg !== undefined &&
    constantKind(expression.TypeCast.arg) === 'string'
  ) {
    const bare: Node = {
      TypeCast: { ...expression.TypeCast, typeName: { ...expression.TypeCast.typeName, typmods: [] } },
    } as Node;
    if ((expression.TypeCast.typeName?.typmods ?? []).length > 0) return constantFor(bare, column);
  }
  return undefined;
}

/** As pg_get_expr prints a default: numbers and booleans bare, everything else quoted and cast. */
function defaultSql(expression: Node, column: ColumnDef, text: string): string {
  const kind = constantKind(
    'TypeCast' in expression && expression.TypeCast.arg !== undefined ? expression.TypeCast.arg : expression,
  );
  if (kind === 'boolean' && column.type.oid === Oid.bool) return constantText(expression) ?? text;
  const type = formatType({ oid: column.type.oid, typmod: -1 });
  const numeric =
    column.type.oid === Oid.int2 ||
    column.type.oid === Oid.int4 ||
    column.type.oid === Oid.int8 ||
    column.type.oid === Oid.numeric ||
    column.type.oid === Oid.float4 ||
    column.type.oid === Oid.float8;
  if (numeric && /^-?\d+(\.\d+)?$/.test(text))
    return text.startsWith('-') ? `'${text}'::${defaultNumberType(text, column)}` : text;
  return `'${text.replaceAll("'", "''")}'::${type}`;
}

function defaultNumberType(text: string, column: ColumnDef): string {
  if (text.includes('.')) return 'numeric';
  return column.type.oid === Oid.int8 && !fitsInt4(text) ? 'bigint' : 'integer';
}

function fitsInt4(text: string): boolean {
  const value = Number(text);
  return value >= -2147483648 && value <= 2147483647;
}

/** The constant a DEFAULT in SET or VALUES stands for, as text; null for none or NULL, 'now' apart. @throws {SqlError} 0A000 */
export function defaultValue(
  column: ColumnDef,
): { readonly kind: 'now' } | { readonly kind: 'text'; readonly text: string } | { readonly kind: 'null' } {
  if (column.default === null) return { kind: 'null' };
  if (column.default.kind === 'now' && column.default.shift === undefined) return { kind: 'now' };
  if (column.default.kind !== 'constant') throw notSupported(`DEFAULT of column "${column.name}" in this statement`);
  return column.default.text === null ? { kind: 'null' } : { kind: 'text', text: column.default.text };
}

export function undefinedColumn(name: string, table: string, fields: { position?: number }): SqlError {
  return new SqlError(SqlState.undefinedColumn, `column "${name}" of relation "${table}" does not exist`, fields);
}
