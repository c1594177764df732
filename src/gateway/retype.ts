/**
 * ALTER COLUMN … TYPE where Iceberg has no promotion: each such column is another one, whose values an UPDATE of the transaction works out of
 * the rows as they are. It takes the name, the number, the place and the indexes of the old one, which goes (A3 of altered-def.ts).
 */
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { holdToAlter } from '../ingest/alter-within.ts';
import { isSpilled } from '../ingest/reshape-writes.ts';
import type { AlterCommand, AlterTable } from '../planner/alter-command.ts';
import { checkReads } from '../planner/altered-checks.ts';
import { cannotCast, columnOf, isRetypedByRows, unread } from '../planner/altered-def.ts';
import { quoteIdentifier } from '../sql-text.ts';
import type { Table } from '../storage/table.ts';
import { indexedFields, type ColumnDef, type TableDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import type { DefineEnvironment } from './define.ts';
import { qualified } from './define-view.ts';
import { foldDefaults } from './fold-defaults.ts';

type Retyping = Extract<AlterCommand, { kind: 'type' }>;

/** Until it takes the old one's name. Nobody else sees it. */
const nameMeanwhile = (index: number): string => `........arka.retyped.${index}........`;

/**
 * What is left of the commands when the new columns are there and have their values; null: no type needs that.
 * @param step carries out an ALTER TABLE
 * @throws {SqlError} 0A000, 42804, those of the expressions
 */
export async function retypeByRows(
  environment: DefineEnvironment,
  table: Table,
  statement: AlterTable,
  step: (commands: readonly AlterCommand[]) => Promise<unknown>,
): Promise<readonly AlterCommand[] | null> {
  const isByRows = (command: AlterCommand): command is Retyping =>
    command.kind === 'type' && isRetypedByRows(table.def, command);
  if (!statement.commands.some(isByRows)) return null;
  const { database, changes, patience } = environment;
  await holdToAlter({ database, changes, patience }, table);
  const { def } = table;
  const retypings = statement.commands.filter(isByRows);
  const dropsDefault = (name: string): boolean =>
    statement.commands.some((each) => each.kind === 'default' && each.name === name && each.value === null);
  const old = retypings.map(({ name }) => {
    const column = unread(def, columnOf(def, name));
    return dropsDefault(name) ? { ...column, default: null } : column;
  });
  for (const column of old) refuseUse(def, column);
  const columns = await Promise.all(
    retypings.map(({ type }, index) => newColumn(environment, def, old[index]!, type, index)),
  );
  await step(columns.map((column) => addition({ ...column, default: null })));
  await takeValues(environment, def, retypings);
  if (isSpilled(changes.transaction.writes, table))
    throw notSupported(`changing a column's type, other than by widening it, in a table of so many rows,`, {
      hint: 'Make a new column, UPDATE it in parts, DROP the old one and RENAME the new one.',
    });
  return statement.commands.map((command) => {
    const index = retypings.findIndex((each) => each === command);
    if (index < 0) return command;
    const { name: by, default: value } = columns[index]!;
    return { kind: 'supersede', name: retypings[index]!.name, by, default: value };
  });
}

const addition = (column: ColumnDef): AlterCommand => ({
  kind: 'addColumn',
  column,
  ifNotExists: false,
  expression: null,
  sequence: null,
});

/** @throws {SqlError} 0A000 */
function refuseUse(def: TableDef, { fieldId, name, identity, generated, default: value }: ColumnDef): void {
  const refused = (what: string, hint: string): SqlError =>
    notSupported(`changing the type of column "${name}", ${what}, other than by widening it`, { hint });
  const other = 'Make a new column, UPDATE it, and use it instead.';
  if (def.key.includes(fieldId)) throw refused('part of the primary key', other);
  if (def.partition.some((field) => field.sourceId === fieldId && field.transform !== 'void'))
    throw refused('by which the table is partitioned', other);
  if (def.sort.some((field) => field.sourceId === fieldId))
    throw refused('by which the table is sorted', `ALTER TABLE … SET (sort_by = '…') first.`);
  if (identity !== undefined || (value !== null && value.kind !== 'constant'))
    throw refused('with a default that is no constant', 'DROP DEFAULT or IDENTITY before, and set it anew.');
  if (generated !== undefined) throw refused('which is generated', 'DROP EXPRESSION before, or make it anew.');
  if (def.checks?.some(({ sql }) => checkReads(sql, name)) === true)
    throw refused('which a CHECK reads', 'DROP the constraint before, and ADD it anew.');
  if (def.indexes.some((index) => index.unique !== undefined && indexedFields(index).includes(fieldId)))
    throw refused('which is UNIQUE', 'DROP the constraint or index before, and make it anew.');
  const isOdd = def.indexes.some((index) =>
    index.columns.some(
      ({ fieldId: of, operatorClass, collation }) => of === fieldId && (operatorClass ?? collation) !== undefined,
    ),
  );
  if (isOdd)
    throw refused('with an operator class or collation in an index', 'DROP the index before, and CREATE it anew.');
}

/** With the default of the old one, as a value of the new type. @throws {SqlError} 42804, and others that a cast has */
async function newColumn(
  environment: DefineEnvironment,
  def: TableDef,
  { name, type: from, default: value }: ColumnDef,
  type: ColumnDef['type'],
  index: number,
): Promise<ColumnDef> {
  const column = { name: nameMeanwhile(index), fieldId: 0, attnum: 0, type, notNull: false, default: null };
  if (value?.kind !== 'constant' || value.text === null) return { ...column, default: value };
  const expression = { fieldId: 0, sql: `CAST((${value.sql}) AS ${formatType(from)})`, position: undefined };
  const folded = await foldDefaults(environment, { ...def, columns: [column] }, [expression]).catch(
    (error: unknown) => {
      if (!(error instanceof SqlError) || error.code !== SqlState.datatypeMismatch) throw error;
      const message = `default for column "${name}" cannot be cast automatically to type ${formatType(type)}`;
      throw new SqlError(SqlState.datatypeMismatch, message);
    },
  );
  const { default: cast } = folded.columns[0]!;
  return { ...column, default: cast?.kind === 'constant' ? { ...cast, sql: value.sql } : cast };
}

/** One UPDATE for all: rows are written once. @throws {SqlError} 42804, those of the expressions */
async function takeValues(
  { writeQuery }: DefineEnvironment,
  def: TableDef,
  retypings: readonly Retyping[],
): Promise<void> {
  const assignments = retypings.map(
    ({ name, using }, index) =>
      `${quoteIdentifier(nameMeanwhile(index))} = ${using === null ? quoteIdentifier(name) : `(${using.sql})`}`,
  );
  try {
    await writeQuery(`UPDATE ${qualified(def)} SET ${assignments.join(', ')}`);
  } catch (error) {
    if (!(error instanceof SqlError) || error.code !== SqlState.datatypeMismatch) throw error;
    // the error names the column that cannot take its value
    const refused = retypings.find((_, index) => error.message.includes(nameMeanwhile(index)));
    throw refused === undefined ? error : notAutomatic(refused);
  }
}

function notAutomatic({ name, type, using }: Retyping): SqlError {
  if (using === null) return cannotCast(name, type);
  return new SqlError(
    SqlState.datatypeMismatch,
    `result of USING clause for column "${name}" cannot be cast automatically to type ${formatType(type)}`,
    { hint: 'You might need to add an explicit cast.' },
  );
}
