/**
 * The row that a cursor stands on, by its name: UPDATE and DELETE … WHERE CURRENT OF change it as a statement that names it
 * does (planner/current-of.ts).
 *
 * - W1 The name is read from the row as the query gave it. A cursor whose query does not give all of it gets the columns that are
 *   missing behind its own; who fetches does not see them.
 * - W2 A row that such a statement has given another name is known by it while the cursor stays on it.
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { columnsOfName, type RowName, tableOfRows, withColumns } from '../planner/current-of.ts';
import type { CatalogView, ParsedStatement, Statement } from '../planner/plan.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { ByteWriter } from '../types/byte-writer.ts';
import { rowEncoder } from '../types/data-row.ts';
import { parameterText } from '../types/parameter-text.ts';
import type { Format, ResultColumn } from '../types/result-column.ts';
import { timeZone } from '../types/time-zone.ts';
import { liveTable } from './cursor.ts';
import { fieldsOf } from './column-calls.ts';
import type { SessionPortals } from './portals.ts';
import type { SessionPortal } from './portal.ts';
import { SqlCursor } from './sql-cursor.ts';
import type { WriteEnvironment } from './write-environment.ts';

type Change = Extract<Statement, { kind: 'update' | 'delete' }>;

/** Where the rows of a query have the names of the table's rows. */
export interface NamedRows {
  readonly def: TableDef;
  /** Places in the query's rows, one a column of the name; -1: it is not there. */
  readonly at: readonly number[];
  readonly missing: readonly ColumnDef[];
}

/** The row that a cursor stands on. */
export interface CursorRow {
  readonly name: RowName;
  /** It has another name from now on (W2). */
  readonly renamed: (name: RowName) => void;
}

/** Null: rows of the query are not those of a table. */
export function namedRows(
  { node }: Pick<ParsedStatement, 'node'>,
  columns: readonly ResultColumn[],
  view: CatalogView,
): NamedRows | null {
  const def = tableOfRows(node, view);
  if (def === null) return null;
  const names = columnsOfName(def);
  const at = names.map(({ attnum }) =>
    columns.findIndex((each) => each.tableOid === def.oid && each.attnum === attnum),
  );
  return { def, at, missing: names.filter((_, i) => at[i]! < 0) };
}

/** A query that gives the names, too (W1); null: it is not to, or need not. All values of rows without a key would be read for it. */
export function givingNames(inner: ParsedStatement, rows: NamedRows | null): ParsedStatement | null {
  if (rows === null || rows.missing.length === 0 || rows.def.key.length === 0) return null;
  return withColumns(inner, rows.missing);
}

const wrongState = (message: string): SqlError => new SqlError(SqlState.invalidCursorState, message);

/** Null: it is gone. @throws {SqlError} 34000, 24000, 0A000 */
export async function cursorRow(
  portals: SessionPortals,
  view: CatalogView,
  cursor: string,
  def: TableDef,
): Promise<CursorRow> {
  const portal = portals.named(cursor);
  const rows = rowsOf(portal, view, cursor, def);
  const { run } = portal;
  if (run !== null && !(run instanceof SqlCursor))
    throw notSupported('WHERE CURRENT OF a portal that Execute has begun', { hint: 'Make the cursor by DECLARE.' });
  const row = (await run?.row()) ?? null;
  if (row === null) throw wrongState(`cursor "${cursor}" is not positioned on a row`);
  if (rows.at.includes(-1))
    throw notSupported(`WHERE CURRENT OF a cursor that does not give ${what(def)} of "${def.name}"`, {
      hint: 'Select those columns, too.',
    });
  const { columns, formats } = run!.kept;
  const fields = fieldsOf(row, new DataView(row.buffer, row.byteOffset, row.byteLength), 0);
  const name = rows.at.map((i) => parameterText(columns[i]!.typeOid, formats[i] ?? 0, fields[i]!));
  const now = portal.renamed?.row === run!.position ? portal.renamed.name : name;
  const renamed = (to: RowName): void => {
    portal.renamed = { row: run!.position, name: to };
  };
  return { name: now, renamed };
}

const what = ({ key }: TableDef): string => (key.length === 0 ? 'all columns' : 'the primary key');

/** @throws {SqlError} 24000 */
function rowsOf(portal: SessionPortal, view: CatalogView, cursor: string, def: TableDef): NamedRows {
  const { parsed, statement } = portal.prepared;
  if (statement.kind !== 'query') throw wrongState(`cursor "${cursor}" is not a SELECT query`);
  if (portal.isHeld) throw wrongState(`cursor "${cursor}" is held from a previous transaction`);
  const rows = portal.rows ?? (parsed === null ? null : namedRows(parsed, portal.columns ?? [], view));
  if (rows?.def.uuid === def.uuid) return rows;
  throw wrongState(
    statement.lock === undefined
      ? `cursor "${cursor}" is not a simply updatable scan of table "${def.name}"`
      : `cursor "${cursor}" does not have a FOR UPDATE/SHARE reference to table "${def.name}"`,
  );
}

/** Carries a statement about a cursor's row out; its tag. */
export async function changeCurrent(
  environment: WriteEnvironment,
  statement: Change,
  change: (statement: Change) => Promise<string>,
): Promise<string> {
  const { currentOf, def } = statement;
  const { name, renamed } = await environment.cursorRow(currentOf!.cursor, def);
  const tag = await change(currentOf!.at(name) as Change);
  if (statement.kind === 'update' && (statement.renames || def.key.length === 0) && tag === 'UPDATE 1')
    renamed(lastName(environment, def) ?? name);
  return tag;
}

/** The name of the row that was written last; null: it is not in memory any more. */
function lastName(environment: WriteEnvironment, def: TableDef): RowName | null {
  const table = liveTable(environment.database, def);
  const { inserted } = environment.transaction.of(table);
  const row = inserted.rows - 1;
  if (row < inserted.first) return null;
  const index = inserted.batchOf(row);
  const vectors = inserted.batches[index]!.vectors();
  const columns = table.nameColumns.map((column) => ({ type: table.def.columns[column]!.type, format: 0 as Format }));
  const out = new ByteWriter(256);
  const encode = rowEncoder(columns, { timeZone: timeZone(environment.timeZone) });
  encode(
    table.nameColumns.map((column) => vectors[column]!),
    row - inserted.batchStart(index),
    out,
  );
  const bytes = out.take();
  const fields = fieldsOf(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
  return fields.map((field) => parameterText(0, 0, field));
}
