/** Rows of a query that are kept as those of a table: what columns they have, and the query with each cast to its column's type. */
import { quoteIdentifier } from '../sql-text.ts';
import type { SelectStmt } from 'libpg-query';
import type { ColumnDef, PgType, TableDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { columnTypeInfo, engineType, Oid } from '../types/pg-type.ts';
import { writeQuery } from './duckdb/query.ts';
import type { OutputColumn } from './duckdb/scope.ts';
import { declaredOid, WIDE_NUMERIC, WIDE_NUMERIC_ARRAY } from './duckdb/typed.ts';
import type { PlannedTable, QueryPlan, Statement } from './plan.ts';
import { Renderer } from './query-plan.ts';

/** Columns of rows that are kept while a statement runs, and the query that gives them, each cast to its column's type. */
export interface KeptColumns {
  readonly columns: readonly ColumnDef[];
  readonly plan: QueryPlan;
  /** Why rows of this kind cannot be kept; null: they can. */
  readonly refused: string | null;
}

/** INSERT, UPDATE, DELETE or MERGE inside WITH; or a query that several parts read, and that might give each other rows. */
export interface WithPart {
  readonly name: string;
  readonly statement: Extract<Statement, { kind: 'query' | 'insert' | 'update' | 'delete' | 'merge' }>;
  /** What others read of it; null: nothing. */
  readonly rows: WithRows | null;
}

/** Rows of a part as a table, and the placeholders that stand for them in the other parts. */
export interface WithRows {
  readonly def: TableDef;
  readonly placeholders: readonly string[];
  readonly refused: string | null;
}

/** @throws {SqlError} what is wrong with the query */
export function planKept(
  select: SelectStmt,
  tables: ReadonlyMap<object, PlannedTable>,
  parameterOids: readonly number[],
): KeptColumns {
  const { outputs } = writeQuery(select, { tables, parameterOids, onWhere: () => undefined });
  const columns = keptColumns(outputs ?? []);
  const names = columns.map((_, i) => quoteIdentifier(`c${i}`));
  const casts = columns.map(({ type }, i) => `CAST("source".${names[i]} AS ${engineType(type)}) AS ${names[i]}`);
  const renderer = new Renderer(
    tables,
    parameterOids,
    false,
    (context) => {
      const { sql } = writeQuery(select, context);
      return { sql: `SELECT ${casts.join(', ')} FROM (${sql}) AS "source"(${names.join(', ')})`, outputs: null };
    },
    null,
  );
  return { columns, plan: renderer.plan(), refused: refusal(outputs) };
}

/** As the columns of a table: text where the type is no column's. */
export function keptColumns(outputs: readonly OutputColumn[]): readonly ColumnDef[] {
  return outputs.map(({ name, oid, typmod = -1 }, i) => ({
    name,
    fieldId: i + 1,
    attnum: i + 1,
    type: keptType(oid, typmod),
    notNull: false,
    default: null,
  }));
}

function keptType(oid: number, typmod: number): PgType {
  if (oid === WIDE_NUMERIC || oid === WIDE_NUMERIC_ARRAY) return { oid: declaredOid(oid), typmod: -1 };
  return columnTypeInfo(oid) === undefined ? { oid: Oid.text, typmod: -1 } : { oid, typmod };
}

/** Why rows with these columns cannot be kept; null: they can. */
export function refusal(outputs: readonly OutputColumn[] | null): string | null {
  if (outputs === null) return 'columns of an unknown source';
  const seen = new Set<string>();
  for (const { name, oid, typmod } of outputs) {
    if (seen.has(name.toLowerCase())) return `two columns "${name}"`;
    seen.add(name.toLowerCase());
    if (oid === WIDE_NUMERIC || oid === WIDE_NUMERIC_ARRAY) continue;
    if (columnTypeInfo(oid) === undefined)
      return oid === 0 ? `column "${name}"` : `column "${name}" of type ${formatType({ oid, typmod: -1 })}`;
    // Without a column's type its scale is not known, and would not be that of PostgreSQL.
    if (oid === Oid.numeric && typmod === undefined) return `an expression of type numeric in column "${name}"`;
  }
  return null;
}
