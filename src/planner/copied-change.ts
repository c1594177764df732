/**
 * UPDATE and DELETE that the engine has no way for: PostgreSQL itself, over copies of rows, says which rows of the table they are about and
 * what is assigned to them; a query of the engine then finds those rows where they lie now.
 *
 * - C1 PostgreSQL says whole rows as they were. Only a row that is still the same is found, so what was worked out of an older version is
 *   never written over a newer one; who misses a row asks again.
 * - C2 The table has a key: rows that are equal in all columns could not be told apart.
 */
import type { DeleteStmt, Node, RangeVar, UpdateStmt, WithClause } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { quoteIdentifier } from '../sql-text.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { partsIn } from './array-parts.ts';
import { stringNode } from './ast.ts';
import { castNode } from './insert.ts';
import type { CatalogView, CopiedChange, PlannedTable } from './plan.ts';
import { planQuery, Renderer, type PlannerEnvironment } from './query-plan.ts';

interface Changed {
  readonly statement: { readonly UpdateStmt: UpdateStmt } | { readonly DeleteStmt: DeleteStmt };
  readonly relation: RangeVar;
  readonly def: TableDef;
  readonly where: Node | undefined;
  readonly with: WithClause | undefined;
  readonly from: readonly Node[];
  readonly parameterCount: number;
}

const GIVEN = quoteIdentifier('__given');

/**
 * @param columns of the statement's own plan, behind unit and position: what is assigned to a column is the SQL of `assigned`
 * @returns null: there is no such way
 */
export function copiedChange(
  { statement, relation, def, where, with: withClause, from, parameterCount }: Changed,
  assignments: ReadonlyMap<ColumnDef, Node>,
  view: CatalogView,
  environment: PlannerEnvironment,
  columns: (assigned: (column: ColumnDef) => string) => readonly string[],
): (() => CopiedChange) | null {
  const isOdd = [...assignments.values()].some((value) => 'SetToDefault' in value || partsIn(value) !== null);
  if (def.key.length === 0 || isOdd) return null;
  return () => {
    const alias = relation.alias?.aliasname ?? relation.relname ?? '';
    const reference = ({ name }: ColumnDef): Node =>
      ({ ColumnRef: { fields: [stringNode(alias), stringNode(name)] } }) as Node;
    const keys = def.columns.filter(({ fieldId }) => def.key.includes(fieldId));
    const values = [
      ...[...assignments].map(([column, value]) => castNode(value, column)),
      ...def.columns.map(reference),
    ];
    const select = {
      SelectStmt: {
        ...(withClause === undefined ? {} : { withClause }),
        ...(from.length === 0 ? {} : { distinctClause: keys.map(reference) }),
        targetList: values.map((val) => ({ ResTarget: { val } })),
        fromClause: [{ RangeVar: relation }, ...from],
        ...(where === undefined ? {} : { whereClause: where }),
        limitOption: 'LIMIT_OPTION_DEFAULT',
        op: 'SETOP_NONE',
      },
    } as unknown as Node;
    const planned = planQuery(select, Deparser.deparse(select), parameterCount, view, environment);
    const whole = Deparser.deparse(statement as Node);
    const given = [...assignments.keys(), ...def.columns].map(({ type }, i): ColumnDef => ({
      name: `v${i}`,
      fieldId: i + 1,
      attnum: i + 1,
      type,
      notNull: false,
      default: null,
    }));
    const rows: TableDef = { ...def, uuid: '', columns: given, key: [], checks: [], indexes: [] };
    const own: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
    const beside: PlannedTable = { def: rows, placeholder: environment.placeholder(), positions: false };
    const value = (index: number): string => `${GIVEN}.${quoteIdentifier(given[index]!.name)}`;
    const order = [...assignments.keys()];
    const list = [
      `${quoteIdentifier(alias)}."__unit"`,
      `${quoteIdentifier(alias)}."__position"`,
      ...columns((column) => value(order.indexOf(column))),
    ];
    const same = def.columns.map((column, i) => {
      const operator = keys.includes(column) ? '=' : 'IS NOT DISTINCT FROM';
      return `${quoteIdentifier(alias)}.${quoteIdentifier(column.name)} ${operator} ${value(order.length + i)}`;
    });
    const sql = `SELECT ${list.map((each, i) => `${each} AS "c${i}"`).join(', ')} FROM ${quoteIdentifier(own.placeholder)} AS ${quoteIdentifier(alias)} JOIN ${quoteIdentifier(beside.placeholder)} AS ${GIVEN} ON ${same.join(' AND ')}`;
    const tables = new Map<object, PlannedTable>([
      [own, own],
      [beside, beside],
    ]);
    const { copied } = planned;
    return {
      query: copied === undefined ? planned : { ...planned, copied: () => ({ ...copied(), whole }) },
      def: rows,
      rows: beside.placeholder,
      plan: new Renderer(tables, [], false, () => ({ sql, outputs: null }), null).plan(),
    };
  };
}
