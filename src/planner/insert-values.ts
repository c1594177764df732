/**
 * What the rows of INSERT … VALUES bring before they are values: columns that make their own (identity columns, DEFAULT,
 * sequences) are taken out of a query, which cannot work them out.
 */
import type { InsertStmt, Node, SelectStmt } from 'libpg-query';
import { notSupported, SqlError, SqlState, type SqlErrorFields } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { generatedAlways, generatorFor } from './generators.ts';
import type { CatalogView, Generated } from './plan.ts';

const DEFAULT = { SetToDefault: {} } as unknown as Node;

/**
 * @param named whether the statement names its targets: without, the first ones are meant
 * @param extra, missing where the first expression is that has no target, and the first target that has none
 * @throws {SqlError} 42601
 */
export function checkWidth(
  expressions: number,
  targets: number,
  named: boolean,
  extra: () => SqlErrorFields,
  missing: () => SqlErrorFields,
): void {
  if (expressions > targets)
    throw new SqlError(SqlState.syntaxError, 'INSERT has more expressions than target columns', extra());
  if (named && expressions < targets)
    throw new SqlError(SqlState.syntaxError, 'INSERT has more target columns than expressions', missing());
}

export function itemsOf(list: Node): readonly Node[] {
  return 'List' in list ? (list.List.items ?? []) : [];
}

function withItems(select: SelectStmt, change: (items: readonly Node[]) => readonly Node[]): SelectStmt {
  const valuesLists = (select.valuesLists ?? []).map((list) => ({ List: { items: change(itemsOf(list)) } }) as Node);
  return { ...select, valuesLists };
}

/**
 * The values with OVERRIDING applied: USER VALUE makes those of identity columns DEFAULT.
 * @throws {SqlError} 428C9 for a value of a column GENERATED ALWAYS
 */
export function overridden(
  select: SelectStmt,
  targets: readonly ColumnDef[],
  override: InsertStmt['override'],
): SelectStmt {
  for (const list of select.valuesLists ?? [])
    itemsOf(list).forEach((item, i) => {
      if (targets[i]?.generated !== undefined && !('SetToDefault' in item)) throw generatedAlways(targets[i]);
    });
  if (override === 'OVERRIDING_SYSTEM_VALUE' || targets.every((column) => column.identity === undefined)) return select;
  if (override === 'OVERRIDING_USER_VALUE')
    return withItems(select, (items) => items.map((item, i) => (targets[i]?.identity === undefined ? item : DEFAULT)));
  for (const list of select.valuesLists ?? [])
    itemsOf(list).forEach((item, i) => {
      if (targets[i]?.identity === 'always' && !('SetToDefault' in item)) throw generatedAlways(targets[i]);
    });
  return select;
}

/** The same for the rows of a query. @throws {SqlError} 428C9, 0A000 */
export function checkOverride(targets: readonly ColumnDef[], override: InsertStmt['override']): void {
  const generated = targets.find((column) => column.generated !== undefined);
  if (generated !== undefined) throw generatedAlways(generated);
  const identity = targets.find((column) => column.identity !== undefined);
  if (identity === undefined || override === 'OVERRIDING_SYSTEM_VALUE') return;
  if (override === 'OVERRIDING_USER_VALUE')
    throw notSupported('OVERRIDING USER VALUE for the rows of a query', {
      hint: `Leave column "${identity.name}" out of the list.`,
    });
  const always = targets.find((column) => column.identity === 'always');
  if (always !== undefined) throw generatedAlways(always);
}

export interface SplitValues {
  readonly select: SelectStmt;
  readonly targets: readonly ColumnDef[];
  /** Columns that are worked out when rows are written, and by what where it is not their default. */
  readonly generated: readonly { readonly fieldId: number; readonly value: Generated }[];
}

/** The values without the columns that are DEFAULT, or the same call of a sequence, in every row. */
export function splitGenerated(select: SelectStmt, targets: readonly ColumnDef[], view: CatalogView): SplitValues {
  const rows = (select.valuesLists ?? []).map(itemsOf);
  const taken = new Set<number>();
  const generated: { fieldId: number; value: Generated }[] = [];
  targets.forEach((column, i) => {
    const items = rows.map((row) => row[i]!);
    if (items.every((item) => 'SetToDefault' in item)) {
      taken.add(i);
      return;
    }
    const calls = items.map((item) => (isSequenceCall(item) ? generatorFor(item, column, view) : null));
    const [first] = calls;
    if (first === null || first === undefined) return;
    if (calls.some((call) => JSON.stringify(call) !== JSON.stringify(first))) return;
    taken.add(i);
    generated.push({ fieldId: column.fieldId, value: first });
  });
  if (taken.size === 0 || taken.size === targets.length) return { select, targets, generated: [] };
  return {
    select: withItems(select, (items) => items.filter((_, i) => !taken.has(i))),
    targets: targets.filter((_, i) => !taken.has(i)),
    generated,
  };
}

/**
 * A SELECT without the columns that are a call of a sequence and nothing else: `INSERT … SELECT nextval('s'), … FROM …`.
 * Null: it has none, or is not plain.
 */
export function splitSelected(
  select: SelectStmt,
  named: readonly ColumnDef[] | null,
  def: TableDef,
  view: CatalogView,
): (SplitValues & { readonly taken: readonly ColumnDef[] }) | null {
  const list = select.targetList ?? [];
  const columns = named ?? def.columns;
  if (named !== null && named.length !== list.length) return null;
  const isPlain = (select.op ?? 'SETOP_NONE') === 'SETOP_NONE' && select.distinctClause === undefined;
  if (!isPlain || list.length > columns.length || JSON.stringify(list).includes('"A_Star"')) return null;
  const calls = list.map((target, i) => {
    const value = 'ResTarget' in target ? target.ResTarget.val : undefined;
    return value !== undefined && isSequenceCall(value) ? generatorFor(value, columns[i]!, view) : null;
  });
  if (calls.every((call) => call === null) || calls.every((call) => call !== null)) return null;
  return {
    select: { ...select, targetList: list.filter((_, i) => calls[i] === null) },
    targets: columns.slice(0, list.length).filter((_, i) => calls[i] === null),
    taken: columns.filter((_, i) => (calls[i] ?? null) !== null),
    generated: calls.flatMap((value, i) => (value === null ? [] : [{ fieldId: columns[i]!.fieldId, value }])),
  };
}

function isSequenceCall(node: Node): boolean {
  return 'FuncCall' in node && isSequenceFunction(node.FuncCall.funcname);
}

const SEQUENCE_FUNCTIONS: ReadonlySet<string> = new Set(['nextval', 'currval', 'lastval', 'setval']);

/** Functions of Arka's sequences: PGlite, which has definitions only, must not run them. */
export function isSequenceFunction(name: readonly Node[] | undefined): boolean {
  const last = name?.at(-1);
  return last !== undefined && 'String' in last && SEQUENCE_FUNCTIONS.has(last.String.sval ?? '');
}
