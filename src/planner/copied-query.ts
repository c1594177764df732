/**
 * What PostgreSQL itself needs to run a statement that the engine has no way for: the rows of its tables, as few as can be told.
 *
 * - O1 PostgreSQL evaluates the whole statement again, so what is left out of a copy may be too little, never too much: of a table
 *   that stands alone in FROM, and nowhere else, rows that a condition AND-ed in WHERE drops; of all others nothing.
 * - O2 Where a row lies (ctid, xmin …) is PGlite's own affair: a statement that asks has no copy.
 */
import type { Node, RangeVar, SelectStmt } from 'libpg-query';
import { SqlError } from '../errors.ts';
import type { TableDef } from '../table-def.ts';
import { stringNode, stringOf, walk } from './ast.ts';
import type { ParameterValue, QueryPlan, RenderedQuery } from './plan.ts';
import { onlyTable } from './relations.ts';

/** A statement that PostgreSQL runs over copies of the rows that it needs. */
export interface CopiedQuery {
  /** What runs, and the filled views that it reads. */
  readonly text: string;
  readonly views: readonly string[];
  /** The statement that it is part of, in words of its own, for PostgreSQL to look at. */
  readonly whole?: string;
  tables(parameters: readonly ParameterValue[]): readonly CopiedTable[];
}

/** All columns of a table, of the rows that the statement may need. */
export interface CopiedTable {
  readonly def: TableDef;
  readonly plan: QueryPlan;
  readonly rendered: RenderedQuery;
}

const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax']);

export function asksForPlaces(node: Node): boolean {
  let asks = false;
  walk(node, (tag, { fields }) => {
    if (tag === 'ColumnRef' && Array.isArray(fields)) asks ||= SYSTEM_COLUMNS.has(stringOf(fields.at(-1) as Node));
  });
  return asks;
}

/** @param plan of a SELECT of plain columns */
export function copiedTables(
  select: SelectStmt,
  arka: ReadonlyMap<object, TableDef>,
  plan: (node: Node) => QueryPlan,
  parameters: readonly ParameterValue[],
): readonly CopiedTable[] {
  const alone = onlyTable(select);
  const defs = new Map([...arka.values()].map((def) => [def.uuid, def]));
  return [...defs.values()].map((def) => {
    const places = [...arka].filter(([, other]) => other.uuid === def.uuid);
    const isAlone = places.length === 1 && places[0]![0] === alone && (select.op ?? 'SETOP_NONE') === 'SETOP_NONE';
    const conditions = isAlone ? conjuncts(select.whereClause) : [];
    const read = (kept: readonly Node[]): CopiedTable => {
      const planned = plan(selectAll(def, isAlone ? alone! : null, kept));
      return { def, plan: planned, rendered: planned.render(parameters) };
    };
    return read(conditions.filter((condition) => isWritten(() => read([condition]).rendered)));
  });
}

/** Whether the engine has a way for all of a query. */
export function isWritten(render: () => RenderedQuery): boolean {
  try {
    void render().sql;
    return true;
  } catch (error) {
    if (error instanceof SqlError) return false;
    throw error;
  }
}

function conjuncts(where: Node | undefined): readonly Node[] {
  if (where === undefined) return [];
  if ('BoolExpr' in where && where.BoolExpr.boolop === 'AND_EXPR')
    return (where.BoolExpr.args ?? []).flatMap(conjuncts);
  let isPlain = true;
  walk({ where }, (tag) => {
    if (tag === 'SubLink' || tag === 'FuncCall') isPlain = false;
  });
  return isPlain ? [where] : [];
}

function selectAll(def: TableDef, as: RangeVar | null, conditions: readonly Node[]): Node {
  const columns = def.columns.map(({ name }) => ({
    ResTarget: { val: { ColumnRef: { fields: [stringNode(name)] } } },
  }));
  const relation = {
    schemaname: def.schema,
    relname: def.name,
    inh: true,
    relpersistence: 'p',
    alias: { aliasname: as?.alias?.aliasname ?? def.name },
  };
  return {
    SelectStmt: {
      targetList: columns,
      fromClause: [{ RangeVar: relation }],
      ...(conditions.length === 0 ? {} : { whereClause: { BoolExpr: { boolop: 'AND_EXPR', args: conditions } } }),
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  } as unknown as Node;
}
