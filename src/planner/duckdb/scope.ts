/**
 * Names in one query level: what a column reference means by PostgreSQL's rules, so that the SQL for DuckDB can say it
 * in full. There every FROM item sees those left of it and aliases are visible in WHERE; a qualified name is safe from both.
 */
import { quoteIdentifier } from '../../sql-text.ts';
import type { ColumnRef, Node } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import type { PgType, TableDef } from '../../table-def.ts';
import { at, stringOf } from '../ast.ts';
import type { PlannedTable } from '../plan.ts';
import { elementOf, isWideNumeric, numericModifier, Oid } from '../../types/pg-type.ts';
import { typed, WIDE_NUMERIC, WIDE_NUMERIC_ARRAY, type DecimalForm, type Typed } from './typed.ts';

export interface OutputColumn {
  readonly name: string;
  readonly oid: number;
  /** An untyped constant: text here, but INSERT … SELECT gives it its column's type. */
  readonly untyped?: true;
  /** Where it is a column of a table, whose type it has as declared. */
  readonly typmod?: number;
  /** Of a numeric that all rows have with one scale. */
  readonly decimal?: Pick<DecimalForm, 'precision' | 'scale'>;
}

/** One FROM item. `columns` null: Arka does not know them all. `table`: set for Arka's tables. */
export interface ScopeItem {
  readonly alias: string;
  readonly schema: string | null;
  readonly columns: readonly OutputColumn[] | null;
  readonly table: { readonly planned: PlannedTable; readonly fieldIds: readonly number[] } | null;
  /** Its rows are values of one column: the alias alone means the value. */
  readonly isScalar?: true;
  /** Its columns have other names here. */
  readonly isRenamed?: boolean;
}

export interface WriterContext {
  /** RangeVar bodies, by identity, that stand for Arka's tables. */
  readonly tables: ReadonlyMap<object, PlannedTable>;
  readonly parameterOids: readonly number[];
  /** Told of each level's WHERE, for time ranges. */
  readonly onWhere: (where: Node, scope: Scope) => void;
}

export interface Scope {
  readonly context: WriterContext;
  readonly items: readonly ScopeItem[];
  /** Names merged by USING or NATURAL: they stand alone. */
  readonly merged: ReadonlySet<string>;
  readonly parent: Scope | null;
  readonly ctes: ReadonlyMap<string, readonly OutputColumn[] | null>;
  /** Within WITH RECURSIVE: numerics of set operations are of any scale. */
  readonly isRecursive?: boolean;
  /** Within a branch that a constant condition may leave out. */
  readonly isConditional?: boolean;
  /** In WHERE, where NULL is as good as false. */
  readonly isFilter?: boolean;
}

export function rootScope(context: WriterContext): Scope {
  return { context, items: [], merged: new Set(), parent: null, ctes: new Map() };
}

/** All columns of a level, in the order of `*`; null when one item's are unknown or a join merges some. */
export function allColumns(scope: Scope): readonly OutputColumn[] | null {
  const columns: OutputColumn[] = [];
  if (scope.merged.size > 0) return null;
  for (const item of scope.items) {
    if (item.columns === null) return null;
    columns.push(...item.columns);
  }
  return columns;
}

export interface ResolvedColumn {
  readonly item: ScopeItem;
  readonly column: OutputColumn;
  readonly index: number;
}

/** The column of this level that `name`, perhaps of `alias`, means; undefined when it is not this level's or not certain. */
export function resolveHere(scope: Scope, alias: string | null, name: string): ResolvedColumn | undefined {
  let found: ResolvedColumn | undefined;
  for (const item of scope.items) {
    if (alias !== null && item.alias !== alias) continue;
    const index = item.columns?.findIndex((column) => column.name === name) ?? -1;
    if (index < 0) continue;
    if (found !== undefined) return undefined;
    found = { item, column: item.columns![index]!, index };
  }
  return found;
}

/** @throws {SqlError} 42703, 42702, 42P01 as PostgreSQL, 0A000 for whole rows */
export function writeColumn(reference: ColumnRef, scope: Scope): Typed {
  const fields = reference.fields ?? [];
  const names = fields.map(stringOf);
  if (fields.some((field) => 'A_Star' in field)) throw notSupported('a whole row as a value', at(reference.location));
  const name = names.at(-1)!;
  if (fields.length === 1) return writePlain(name, reference, scope);
  // database.schema.table.column: the tail decides, aliases hide the rest.
  const alias = names.at(-2)!;
  for (let level: Scope | null = scope; level !== null; level = level.parent) {
    const item = level.items.find((one) => one.alias === alias && (names.length === 2 || one.schema === names.at(-3)));
    if (item === undefined) continue;
    const column = item.columns?.find((one) => one.name === name);
    if (column === undefined && item.columns !== null) {
      throw new SqlError(SqlState.undefinedColumn, `column ${names.join('.')} does not exist`, at(reference.location));
    }
    return columnOf(`${quoteIdentifier(alias)}.${quoteIdentifier(name)}`, column);
  }
  throw new SqlError(SqlState.undefinedTable, `missing FROM-clause entry for table "${alias}"`, at(reference.location));
}

export function columnOf(sql: string, column: OutputColumn | undefined): Typed {
  if (column?.decimal === undefined) return typed(sql, column?.oid ?? 0);
  return { ...typed(sql, column.oid), decimal: { sql, ...column.decimal } };
}

function writePlain(name: string, reference: ColumnRef, scope: Scope): Typed {
  for (let level: Scope | null = scope; level !== null; level = level.parent) {
    if (level.merged.has(name)) {
      const column = level.items.flatMap((item) => item.columns ?? []).find((one) => one.name === name);
      return typed(quoteIdentifier(name), column?.oid ?? 0);
    }
    const holders = level.items.filter((item) => item.columns?.some((column) => column.name === name) === true);
    if (holders.length > 1)
      throw new SqlError(SqlState.ambiguousColumn, `column reference "${name}" is ambiguous`, at(reference.location));
    if (holders.length === 1) {
      const item = holders[0]!;
      return columnOf(
        `${quoteIdentifier(item.alias)}.${quoteIdentifier(name)}`,
        item.columns!.find((column) => column.name === name),
      );
    }
    if (level.items.some((item) => item.columns === null)) return typed(quoteIdentifier(name));
    const whole = level.items.find((item) => item.alias === name);
    if (whole?.isScalar === true) {
      const [column] = whole.columns!;
      return typed(`${quoteIdentifier(name)}.${quoteIdentifier(column!.name)}`, column!.oid);
    }
    if (whole !== undefined) {
      throw notSupported(`the whole row of "${name}" as a value`, at(reference.location));
    }
  }
  throw new SqlError(SqlState.undefinedColumn, `column "${name}" does not exist`, at(reference.location));
}

export function tableItem(
  planned: PlannedTable,
  alias: string,
  schema: string | null,
  renamed: readonly string[],
): ScopeItem {
  const def: TableDef = planned.def;
  return {
    alias,
    schema,
    columns: def.columns.map(({ name, type }, index) => ({
      name: renamed[index] ?? name,
      oid: oidOf(type),
      typmod: type.typmod,
      ...declaredDecimal(type),
    })),
    table: { planned, fieldIds: def.columns.map((column) => column.fieldId) },
    isRenamed: renamed.length > 0,
  };
}

function oidOf(type: PgType): number {
  if (isWideNumeric(type)) return WIDE_NUMERIC;
  const element = elementOf(type);
  return element !== undefined && isWideNumeric(element) ? WIDE_NUMERIC_ARRAY : type.oid;
}

function declaredDecimal(type: PgType): Pick<OutputColumn, 'decimal'> {
  const decimal = type.oid === Oid.numeric && !isWideNumeric(type) ? numericModifier(type.typmod) : null;
  return decimal === null ? {} : { decimal };
}
