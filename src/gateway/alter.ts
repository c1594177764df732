/** ALTER TABLE, RENAME and SET SCHEMA: the table by its name, what becomes of its definition, and its rows looked at where a column must be NOT NULL. */
import type { CheckDef } from '../check-def.ts';
import { notSupported, SqlError, SqlState } from '../errors.ts';
import { alterWithin, holdToAlter } from '../ingest/alter-within.ts';
import { newIndex } from '../ingest/define-index.ts';
import { ownedSequences } from '../ingest/define-sequence.ts';
import { along, ownedBy, shownName } from '../ingest/relations.ts';
import { generatedInput } from '../ingest/generated-values.ts';
import { checkReads } from '../planner/altered-checks.ts';
import { alteredDef, numbered, type AlteredDef } from '../planner/altered-def.ts';
import type { AlterCommand, AlterTable } from '../planner/alter-command.ts';
import type { QualifiedName, Statement } from '../planner/plan.ts';
import type { OwnedSequence } from '../sequence-def.ts';
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import type { Table } from '../storage/table.ts';
import { isTemporarySchema, lastColumn, type ColumnDef, type ColumnDefault, type TableDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import type { ColumnVector } from '../types/column-vector.ts';
import { putText } from '../types/parse-text-value.ts';
import { physicalOf } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { checkIndex, checkUnique } from './check-unique.ts';
import { foldDefaults } from './fold-defaults.ts';
import { relationOf, undefinedRelation, type DefineEnvironment } from './define.ts';
import { concernsViews, qualified, tryViews } from './define-view.ts';
import { retypeByRows } from './retype.ts';
import { nameTable, ofName } from './schema.ts';
import { INTEGERS } from '../types/type-kinds.ts';

export async function alter(environment: DefineEnvironment, statement: AlterTable): Promise<string> {
  const table = tableOf(environment, statement.table, statement.ifExists);
  if (table === null) return 'ALTER TABLE';
  await alterViewsAbove(environment, table, statement);
  const left = await retypeByRows(environment, table, statement, (commands) =>
    alterTable(environment, table, commands),
  );
  if (left === null) await alterTable(environment, table, statement.commands);
  else await alterTable({ ...environment, isAlone: false }, table, left); // rows are its transaction's by then
  return 'ALTER TABLE';
}

async function alterTable(environment: DefineEnvironment, table: Table, given: readonly AlterCommand[]): Promise<void> {
  const { database, changes, patience, notice, relations } = environment;
  const commands = await withIdentities(environment, table, await withDefaults(environment, table.def, given));
  let said: AlteredDef['notices'] = [];
  const change = (def: TableDef): AlteredDef | null => {
    const altered = alteredDef(def, commands, (now, index) =>
      newIndex(relations, { def: now }, index, () => database.takeOid()),
    );
    said = altered.notices;
    refuseTakenName(environment, def, altered.def);
    return isSame(def, altered.def) && altered.removed.length === 0 ? null : altered;
  };
  const check = (before: TableDef, after: TableDef): Promise<readonly ColumnDef[]> =>
    columnsToFill(environment, before, after);
  const wasUnlogged = table.def.unlogged === true;
  const columns = await alterWithin({ database, changes, patience }, table, change, check);
  const unlogged = table.def.unlogged === true;
  if (unlogged !== wasUnlogged)
    for (const sequence of ownedBy(changes, table.def.uuid))
      if (sequence.def.unlogged !== undefined)
        await changes.alterSequence(sequence, { unlogged }, environment.searchPath, patience);
  if (columns.length > 0) await fill(environment, table, columns);
  for (const { code, message } of said) notice(code, message);
}

/** The sequences of columns that become identity columns, and of new ones that have one, are made, as part of the transaction. @throws {SqlError} 42703, 55000, 22023 */
async function withIdentities(
  environment: DefineEnvironment,
  table: Table,
  commands: readonly AlterCommand[],
): Promise<AlterCommand[]> {
  const { database, changes, patience } = environment;
  const done: AlterCommand[] = [];
  const owned = async (def: TableDef, given: OwnedSequence): Promise<number> => {
    const [sequence] = ownedSequences(changes, def, [given], () => database.takeOid()).sequences;
    await changes.lock([ofName(sequence!.schema, sequence!.name)], patience);
    changes.addSequence(sequence!);
    return sequence!.oid;
  };
  const numbers: { fieldId: number; attnum: number } = { fieldId: 0, attnum: 0 };
  for (const command of commands) {
    if (command.kind !== 'addIdentity' && command.kind !== 'addColumn') {
      done.push(command);
      continue;
    }
    await holdToAlter({ database, changes, patience }, table);
    const { def } = table;
    if (command.kind === 'addIdentity') {
      const column = identityToBe(def, command.name);
      const options = { ...command.options, typeOid: column.type.oid };
      done.push({ ...command, sequence: await owned(def, { fieldId: column.fieldId, isIdentity: true, options }) });
      continue;
    }
    if (numbers.fieldId === 0) Object.assign(numbers, lastColumn(def));
    const isThere = def.columns.some(({ name }) => name === command.column.name);
    const column = isThere ? command.column : numbered(command.column, numbers);
    if (isThere || command.sequence === null) {
      done.push(command);
      continue;
    }
    const sequence = await owned(
      { ...def, columns: [...def.columns, column] },
      { ...command.sequence, fieldId: column.fieldId },
    );
    done.push({ ...command, column: { ...command.column, default: { kind: 'nextval', sequence } } });
  }
  return done;
}

function identityToBe(def: TableDef, name: string): ColumnDef {
  const column = def.columns.find((each) => each.name === name);
  const of = `column "${name}" of relation "${def.name}"`;
  const refused = (why: string): SqlError => new SqlError(SqlState.objectNotInPrerequisiteState, `${of} ${why}`);
  if (column === undefined) throw new SqlError(SqlState.undefinedColumn, `${of} does not exist`);
  if (!INTEGERS.has(column.type.oid))
    throw new SqlError(SqlState.invalidParameterValue, 'identity column type must be smallint, integer, or bigint');
  if (!column.notNull) throw refused('must be declared NOT NULL before identity can be added');
  if (column.identity !== undefined) throw refused('is already an identity column');
  if (column.default !== null || column.generated !== undefined) throw refused('already has a default value');
  return column;
}

/** Views above a table have the new names of its columns, and speak against what they need. @throws {SqlError} 2BP01, 0A000 */
async function alterViewsAbove(environment: DefineEnvironment, table: Table, statement: AlterTable): Promise<void> {
  const { database, changes, patience } = environment;
  if (!concernsViews(statement, environment) || [...environment.relations.views].length === 0) return;
  await holdToAlter({ database, changes, patience }, table);
  const { def } = table;
  const actions = statement.commands.flatMap((command) => {
    if (!('name' in command) || command.kind === 'addUnique') return [];
    const name = quoteIdentifier(command.name);
    const column = def.columns.find((each) => each.name === command.name);
    if (command.kind === 'dropConstraint') return def.keyName === command.name ? [`DROP CONSTRAINT ${name}`] : [];
    if (column === undefined) return [];
    if (command.kind === 'type') refuseType(environment, def, column);
    if (command.kind === 'renameColumn') return [`RENAME COLUMN ${name} TO ${quoteIdentifier(command.to)}`];
    return command.kind === 'dropColumn' ? [`DROP COLUMN ${name} ${command.cascade ? 'CASCADE' : 'RESTRICT'}`] : [];
  });
  if (actions.length > 0) await tryViews(environment, `ALTER TABLE ${qualified(def)} ${actions.join(', ')}`);
}

function refuseType(
  { relations, searchPath }: DefineEnvironment,
  { oid }: TableDef,
  { attnum, name }: ColumnDef,
): void {
  const view = [...relations.views].find(({ dependsOn }) =>
    dependsOn.some((each) => each.oid === oid && each.columns.includes(attnum)),
  );
  if (view === undefined) return;
  throw new SqlError(SqlState.featureNotSupported, 'cannot alter type of a column used by a view or rule', {
    detail: `rule _RETURN on view ${shownName(relations, searchPath, view)} depends on column "${name}"`,
  });
}

/**
 * Rows that are there get the defaults of new columns: files are written anew at COMMIT where nothing comes before it and all rows
 * get the same, else an UPDATE does it.
 */
async function fill(environment: DefineEnvironment, table: Table, columns: readonly ColumnDef[]): Promise<void> {
  const { changes, isAlone, writeQuery } = environment;
  const { def } = table;
  const values = isAlone && !table.temporary ? valuesForAll(environment, columns) : null;
  if (values !== null) {
    changes.fillLater(table, { fieldIds: columns.map(({ fieldId }) => fieldId), vectors: values });
    return;
  }
  changes.filled(table, columns);
  const assignments = columns.map(({ name }) => `${quoteIdentifier(name)} = DEFAULT`).join(', ');
  try {
    await writeQuery(`UPDATE ${quoteIdentifier(def.schema)}.${quoteIdentifier(def.name)} SET ${assignments}`);
  } catch (error) {
    const isRefused = error instanceof SqlError && error.code === SqlState.checkViolation;
    throw isRefused && error.fields.constraint !== undefined ? violated(def, error.fields.constraint) : error;
  }
}

/** Defaults that PostgreSQL is to work out are constants from here on. */
function withDefaults(
  environment: DefineEnvironment,
  def: TableDef,
  commands: readonly AlterCommand[],
): Promise<AlterCommand[]> {
  return Promise.all(
    commands.map(async (command): Promise<AlterCommand> => {
      if (command.kind === 'addColumn' && command.expression !== null) {
        const { columns } = await foldDefaults(environment, { ...def, columns: [command.column] }, [
          command.expression,
        ]);
        return { ...command, column: columns[0]!, expression: null };
      }
      if (command.kind !== 'default' || command.value === null) return command;
      const column = def.columns.find(({ name }) => name === command.name);
      const { of, sql, position } = command.value;
      if (column === undefined || of(column) !== null) return command;
      const expression = { fieldId: column.fieldId, sql, position };
      const { columns } = await foldDefaults(environment, { ...def, columns: [column] }, [expression]);
      return { ...command, value: { ...command.value, of: () => columns[0]!.default } };
    }),
  );
}

function isSame(before: TableDef, after: TableDef): boolean {
  const { lastColumn: _, ...rest } = before;
  const { lastColumn: __, ...other } = after;
  return JSON.stringify(rest) === JSON.stringify(other);
}

/** Names of keys are names of relations. */
function refuseTakenName(environment: DefineEnvironment, { keyName, schema }: TableDef, after: TableDef): void {
  if (after.keyName === keyName || after.keyName === '') return;
  if (relationOf(environment, { schema, name: after.keyName }) !== null)
    throw new SqlError(SqlState.duplicateTable, `relation "${after.keyName}" already exists`);
}

/** Of those that are there; null: it is not, and `ifExists` said that is fine. */
function tableOf(environment: DefineEnvironment, named: QualifiedName, ifExists: boolean): Table | null {
  const { relations, searchPath, notice } = environment;
  const { schema, name } = named;
  const table = along(searchPath, schema, (each) => relations.table(each, name));
  if (table !== undefined) return table;
  if (relationOf(environment, named) !== null) throw new SqlError(SqlState.wrongObjectType, `"${name}" is not a table`);
  if (!ifExists) throw undefinedRelation(named);
  notice('00000', `relation "${name}" does not exist, skipping`);
  return null;
}

/** What rows there are must be fine with what becomes NOT NULL; new columns in which they need a value, the default. */
async function columnsToFill(
  environment: DefineEnvironment,
  before: TableDef,
  after: TableDef,
): Promise<readonly ColumnDef[]> {
  const { countRows } = environment;
  const columns: ColumnDef[] = [];
  const from = `FROM ${quoteIdentifier(before.schema)}.${quoteIdentifier(before.name)}`;
  let rows: boolean | null = null;
  if (after.key.length > 0 && before.key.length === 0) await checkUnique(environment, after, after.keyName, after.key);
  for (const index of after.indexes)
    if (index.unique !== undefined && !before.indexes.some(({ slot }) => slot === index.slot))
      await checkIndex(environment, before, index);
  for (const column of after.columns) {
    const old = before.columns.find(({ fieldId }) => fieldId === column.fieldId);
    if (old === undefined) {
      const { default: value, generated } = column;
      const isNull = generated === undefined && (value === null || (value.kind === 'constant' && value.text === null));
      if (isNull && !column.notNull) continue;
      rows ??= (await countRows(`SELECT ${quoteIdentifier(before.columns[0]!.name)} ${from} LIMIT 1`)) > 0;
      if (!rows) continue;
      if (isNull) throw containsNulls(before, column.name);
      columns.push(column);
    } else if (column.notNull && !old.notNull) {
      const name = quoteIdentifier(old.name);
      if ((await countRows(`SELECT ${name} ${from} WHERE ${name} IS NULL LIMIT 1`)) > 0)
        throw containsNulls(before, column.name);
    }
  }
  for (const check of after.checks ?? [])
    if (before.checks?.some(({ name }) => name === check.name) !== true)
      await checkAll(environment, before, after, check);
  return columns;
}

/**
 * What the rows that are there are with new columns, as far as a condition reads them; null: each gets a default of its own, by an UPDATE,
 * which tests the condition.
 * @throws {SqlError} 0A000 for the time, with which files are written anew
 */
function withAdded(before: TableDef, after: TableDef, { sql }: CheckDef): string | null {
  const { schema, name } = before;
  const table = `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
  const added = after.columns.filter(({ fieldId }) => before.columns.every((each) => each.fieldId !== fieldId));
  const read = added.filter((column) => checkReads(sql, column.name));
  if (read.length === 0) return table;
  if (read.some(({ generated }) => generated !== undefined)) return null;
  if (read.some(({ default: value }) => value !== null && isNow(value)))
    throw notSupported('ALTER TABLE … ADD COLUMN … CHECK beside a default that is the time');
  if (read.some(({ default: value }) => value !== null && value.kind !== 'constant')) return null;
  const values = read.map(({ name: column, type, default: value }) => {
    const text = value?.kind !== 'constant' || value.text === null ? 'NULL' : quoteLiteral(value.text);
    return `CAST(${text} AS ${formatType(type)}) AS ${quoteIdentifier(column)}`;
  });
  // one that goes may have the name of one that comes
  const stay = before.columns.filter(({ fieldId }) => after.columns.some((each) => each.fieldId === fieldId));
  const all = [...stay.map(({ name: column }) => quoteIdentifier(column)), ...values];
  return `(SELECT ${all.join(', ')} FROM ${table}) AS ${quoteIdentifier(name)}`;
}

async function checkAll(
  { countRows }: DefineEnvironment,
  before: TableDef,
  after: TableDef,
  check: CheckDef,
): Promise<void> {
  const { name: constraint, sql } = check;
  const from = withAdded(before, after, check);
  if (from === null || (await countRows(`SELECT 1 AS one FROM ${from} WHERE NOT (${sql}) LIMIT 1`)) === 0) return;
  throw violated(before, constraint);
}

function violated({ schema, name: table }: TableDef, constraint: string): SqlError {
  return new SqlError(
    SqlState.checkViolation,
    `check constraint "${constraint}" of relation "${table}" is violated by some row`,
    { schema, table, constraint },
  );
}

/** Of each column; null: a value is another for each row. */
function valuesForAll({ time }: DefineEnvironment, columns: readonly ColumnDef[]): readonly ColumnVector[] | null {
  const vectors: ColumnVector[] = [];
  for (const column of columns) {
    const builder = new VectorBuilder(physicalOf(column.type));
    const value = column.default;
    if (column.generated !== undefined) return null;
    if (value?.kind === 'constant') putText(textInput(column.type, time), value.text, builder);
    else if (value !== null && isNow(value)) generatedInput(column, value, time)(builder);
    else return null;
    vectors.push(builder.vector());
  }
  return vectors;
}

const isNow = (value: ColumnDefault): value is ColumnDefault & { readonly kind: 'now' | 'function' } =>
  value.kind === 'now' || (value.kind === 'function' && value.function === 'now');

function containsNulls({ schema, name: table }: TableDef, column: string): SqlError {
  return new SqlError(SqlState.notNullViolation, `column "${column}" of relation "${table}" contains null values`, {
    schema,
    table,
    column,
  });
}

export async function rename(
  environment: DefineEnvironment,
  statement: Extract<Statement, { kind: 'renameTable' }>,
): Promise<string> {
  const { table: wanted, ifExists, to } = statement;
  const table = tableOf(environment, wanted, ifExists);
  if (table === null) return 'ALTER TABLE';
  const { schema, name } = table.def;
  // PostgreSQL takes a table's own schema without a word, but not its own name.
  if (to.schema === schema) return 'ALTER TABLE';
  if (to.schema !== undefined && (table.temporary || isTemporarySchema(to.schema)))
    throw new SqlError(SqlState.featureNotSupported, 'cannot move objects into or out of temporary schemas');
  await nameTable(environment, table, { schema, name, ...to }, async () => {
    if (!concernsViews(statement, environment)) return;
    const { name: other, schema: moved } = to;
    const action =
      other === undefined ? `SET SCHEMA ${quoteIdentifier(moved!)}` : `RENAME TO ${quoteIdentifier(other)}`;
    await tryViews(environment, `ALTER TABLE ${qualified(table.def)} ${action}`);
  });
  return 'ALTER TABLE';
}
