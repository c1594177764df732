/**
 * What ALTER TABLE makes of a definition: pure. Subcommands take effect in PostgreSQL's order (ATController's passes): what
 * goes, then types, then new columns, then their attributes, then options.
 *
 * - A1 A column keeps its field id and attnum for ever; new ones get the next that the table never had.
 * - A2 The type of a column changes by Iceberg's promotions alone: data files keep the old type, and readers widen it.
 * - A3 Any other type is that of another column, with a field id of its own, which takes the old one's place and attnum (retype.ts).
 */
import type { Node } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import {
  indexedFields,
  uniqueConstraint,
  lastColumn,
  type ColumnDef,
  type ColumnDefault,
  type IndexDef,
  type IndexToMake,
  type PgType,
  type TableDef,
  isTemporarySchema,
} from '../table-def.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { formatType } from '../types/format-type.ts';
import { elementOf, numericModifier, Oid, isWideNumeric } from '../types/pg-type.ts';
import { alteredChecks } from './altered-checks.ts';
import { commented, commentsKept } from './comment.ts';
import { SYSTEM_COLUMNS, unlocated } from './create-table.ts';
import { alteredGenerations, generatedFrom, generationOf } from './generation.ts';
import { undefinedColumn, unfoldedDefault } from './column-default.ts';
import {
  invalid,
  isHeapParameter,
  isIcebergProperty,
  OWN_OPTIONS,
  partitionFields,
  sortFields,
  timeColumn,
} from './options.ts';
import type { AlterCommand, AlteredDefault, NewKey } from './alter-command.ts';
import { INTEGERS, TEXTS } from '../types/type-kinds.ts';

export interface AlteredDef {
  readonly def: TableDef;
  /** Iceberg properties that are to go. */
  readonly removed: readonly string[];
  readonly notices: readonly { readonly code: string; readonly message: string }[];
}

const PASSES: Readonly<Record<AlterCommand['kind'], number>> = {
  dropColumn: 0,
  renameColumn: 0,
  renameConstraint: 0,
  dropConstraint: 0,
  type: 1,
  supersede: 1,
  addColumn: 2,
  notNull: 3,
  addIdentity: 3,
  identity: 5,
  dropExpression: 0,
  addKey: 3,
  addCheck: 3,
  addUnique: 3,
  default: 4,
  comment: 4,
  persistence: 4,
  set: 5,
  reset: 5,
};
/** DROP NOT NULL, DROP DEFAULT and DROP IDENTITY are of the first pass: a type's change does not meet them. */
const passOf = (command: AlterCommand): number =>
  (command.kind === 'notNull' && !command.notNull) ||
  (command.kind === 'default' && command.value === null) ||
  (command.kind === 'identity' && command.identity === null)
    ? 0
    : PASSES[command.kind];

/**
 * @param makeIndex gives it a name and an OID
 * @throws {SqlError} 0A000, 22023, 22P02, 42701, 42703, 42704, 42P07, 42P16
 */
export function alteredDef(
  before: TableDef,
  commands: readonly AlterCommand[],
  makeIndex: (def: TableDef, index: IndexToMake) => IndexDef,
): AlteredDef {
  const notices: { code: string; message: string }[] = [];
  const skip = (because: string): unknown => notices.push({ code: '00000', message: `${because}, skipping` });
  const removed: string[] = [];
  const skipped = new Set<string>();
  let def = before;
  const numbers = { ...lastColumn(before) };
  let renamedConstraint: { from: string; to: string } | null = null;
  const constraints: NewConstraint[] = [];
  for (const command of commands.toSorted((left, right) => passOf(left) - passOf(right)))
    switch (command.kind) {
      case 'addColumn': {
        const { column, ifNotExists } = command;
        const there = alreadyThere(def, column.name);
        if (there !== null && ifNotExists && there.code === SqlState.duplicateColumn) {
          notices.push({ code: there.code, message: `${there.message}, skipping` });
          skipped.add(column.name);
          break;
        }
        if (there !== null) throw there;
        const added = withGeneration(numbered(column, numbers), command.generation, def);
        def = { ...def, columns: [...def.columns, added] };
        break;
      }
      case 'dropColumn':
        def = withoutNamed(def, command, notices, skip);
        break;
      case 'renameColumn':
        def = renamed(def, command.name, command.to);
        break;
      case 'addIdentity': {
        const column = columnOf(def, command.name);
        const { identity, sequence } = command;
        if (sequence !== null) def = replaced(def, { ...column, identity, default: { kind: 'nextval', sequence } });
        break;
      }
      case 'dropExpression':
        def = withoutExpression(def, columnOf(def, command.name), command.ifExists, skip);
        break;
      case 'identity':
        def = withIdentity(def, command, skip);
        break;
      case 'comment':
        def = commented(def, command);
        break;
      case 'persistence':
        def = withPersistence(def, command.isUnlogged);
        break;
      case 'renameConstraint':
        def = withConstraintNamed(def, command.name, command.to);
        renamedConstraint = { from: command.name, to: command.to };
        break;
      case 'dropConstraint':
        def = withoutConstraint(def, command, skip);
        break;
      case 'type':
        def = replaced(def, retyped(unread(def, columnOf(def, command.name)), command));
        break;
      case 'supersede':
        def = superseded(def, command, numbers);
        break;
      case 'default': {
        const column = columnOf(def, command.name);
        refuseDefault(before, def, column, command.value === null);
        def = replaced(def, { ...column, default: defaultOf(column, command.value) });
        break;
      }
      case 'notNull':
        def = withNotNull(def, command.name, command.notNull);
        break;
      case 'addKey':
        def = withKey(def, command.key);
        break;
      case 'addCheck':
      case 'addUnique':
        if (command.column === undefined || !skipped.has(command.column)) constraints.push(command);
        break;
      case 'set':
        for (const [name, value] of command.options) def = withOption(def, name, value);
        break;
      case 'reset':
        for (const name of command.names) {
          def = withoutOption(def, name);
          if (!OWN_OPTIONS.has(name)) removed.push(name);
        }
        break;
      default:
        command satisfies never;
    }
  def = { ...def, columns: alteredGenerations(before, def), ...alteredChecks(before, def), lastColumn: numbers };
  for (const each of constraints) def = withConstraint(def, each, makeIndex);
  const { comments, ...rest } = def;
  if (comments !== undefined) def = { ...rest, ...commentsKept(def, renamedConstraint) };
  return { def, removed, notices };
}

/** @throws {SqlError} 42P16, 42601 */
function withNotNull(def: TableDef, name: string, notNull: boolean): TableDef {
  const column = columnOf(def, name);
  if (!notNull && column.generated === undefined) refuseIdentity(def, column, false);
  if (!notNull && def.key.includes(column.fieldId))
    throw new SqlError(SqlState.invalidTableDefinition, `column "${column.name}" is in a primary key`);
  return replaced(def, { ...column, notNull });
}

/** @throws {SqlError} 42P16 */
function withPersistence({ unlogged: _, ...def }: TableDef, isUnlogged: boolean): TableDef {
  if (isTemporarySchema(def.schema))
    throw new SqlError(
      SqlState.invalidTableDefinition,
      `cannot change logged status of table "${def.name}" because it is temporary`,
      { schema: def.schema, table: def.name },
    );
  return isUnlogged ? { ...def, unlogged: true } : def;
}

type NewConstraint = Extract<AlterCommand, { kind: 'addCheck' | 'addUnique' }>;

/** @throws {SqlError} 42P07 */
function withConstraint(
  def: TableDef,
  added: NewConstraint,
  makeIndex: (def: TableDef, index: IndexToMake) => IndexDef,
): TableDef {
  if (added.kind === 'addCheck') return { ...def, checks: [...(def.checks ?? []), added.of(def)] };
  const { name, of } = added;
  if (name !== null && hasConstraint(def, name)) throw takenName(name);
  return { ...def, indexes: [...def.indexes, makeIndex(def, { name, index: of(def) })] };
}

/** @throws {SqlError} 42703 */
export function columnOf(def: TableDef, name: string): ColumnDef {
  const column = def.columns.find((each) => each.name === name);
  if (column === undefined) throw undefinedColumn(name, def.name, {});
  return column;
}

function withKey(def: TableDef, key: NewKey): TableDef {
  if (def.key.length > 0)
    throw new SqlError(
      SqlState.invalidTableDefinition,
      `multiple primary keys for table "${def.name}" are not allowed`,
    );
  for (const name of key.names ?? []) columnOf(def, name);
  const keyed = { ...def, ...key.apply(def.columns) };
  if (hasConstraint(def, keyed.keyName)) throw takenName(keyed.keyName);
  return keyed;
}

const takenName = (name: string): SqlError =>
  new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);

/** Rows that are there get the default that a new column comes with, not one that is set behind it. @throws {SqlError} 0A000, 42601 */
function refuseDefault(before: TableDef, def: TableDef, column: ColumnDef, dropsDefault: boolean): void {
  refuseIdentity(def, column, dropsDefault);
  if (column.fieldId > lastColumn(before).fieldId)
    throw notSupported(`SET DEFAULT for column "${column.name}", which the same ALTER TABLE adds,`);
}

/** @throws {SqlError} 42601 for one that makes its own values */
function refuseIdentity(def: TableDef, column: ColumnDef, dropsDefault: boolean): void {
  if (column.generated !== undefined) {
    const hint = 'Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead.';
    const of = `column "${column.name}" of relation "${def.name}"`;
    throw new SqlError(SqlState.syntaxError, `${of} is a generated column`, dropsDefault ? { hint } : {});
  }
  if (column.identity === undefined) return;
  throw new SqlError(
    SqlState.syntaxError,
    `column "${column.name}" of relation "${def.name}" is an identity column`,
    dropsDefault ? { hint: 'Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead.' } : {},
  );
}

/** @throws {SqlError} 55000 */
function withIdentity(
  def: TableDef,
  { name, identity, ifExists }: Extract<AlterCommand, { kind: 'identity' }>,
  skip: (because: string) => unknown,
): TableDef {
  const column = columnOf(def, name);
  const { identity: before, ...plain } = column;
  if (before === undefined) {
    const because = `column "${name}" of relation "${def.name}" is not an identity column`;
    if (!ifExists) throw new SqlError(SqlState.objectNotInPrerequisiteState, because);
    skip(because);
    return def;
  }
  return replaced(def, identity === null ? { ...plain, default: null } : { ...column, identity });
}

/** A new column, which may be worked out of those that there are by then. */
function withGeneration(column: ColumnDef, expression: Node | undefined, def: TableDef): ColumnDef {
  if (expression === undefined) return column;
  return { ...column, generated: unlocated(() => generationOf(expression, column, def.columns, def.name)) };
}

/** @throws {SqlError} 55000 */
function withoutExpression(
  def: TableDef,
  column: ColumnDef,
  ifExists: boolean,
  skip: (because: string) => unknown,
): TableDef {
  const { generated, ...plain } = column;
  if (generated !== undefined) return replaced(def, plain);
  const because = `column "${column.name}" of relation "${def.name}" is not a stored generated column`;
  if (!ifExists) throw new SqlError(SqlState.objectNotInPrerequisiteState, because);
  skip(because);
  return def;
}

/** @throws {SqlError} 0A000: PostgreSQL, too, has the generated column go first */
export function unread(def: TableDef, column: ColumnDef): ColumnDef {
  const { name } = column;
  const [reader] = generatedFrom(def, name);
  if (reader === undefined) return column;
  throw new SqlError(SqlState.featureNotSupported, 'cannot alter type of a column used by a generated column', {
    detail: `Column "${name}" is used by generated column "${reader.name}".`,
  });
}

function withoutNamed(
  def: TableDef,
  { name, ifExists, cascade }: Extract<AlterCommand, { kind: 'dropColumn' }>,
  notices: { code: string; message: string }[],
  skip: (because: string) => unknown,
): TableDef {
  if (!ifExists || def.columns.some((column) => column.name === name))
    return withoutRead(def, columnOf(def, name), cascade, notices);
  skip(`column "${name}" of relation "${def.name}" does not exist`);
  return def;
}

/** A column goes, and with CASCADE the generated columns that read it. @throws {SqlError} 2BP01 */
function withoutRead(
  def: TableDef,
  column: ColumnDef,
  cascade: boolean,
  notices: { code: string; message: string }[],
): TableDef {
  const readers = generatedFrom(def, column.name);
  if (readers.length > 0 && !cascade)
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot drop column ${column.name} of table ${def.name} because other objects depend on it`,
      {
        detail: readers
          .map(
            ({ name }) => `column ${name} of table ${def.name} depends on column ${column.name} of table ${def.name}`,
          )
          .join('\n'),
        hint: 'Use DROP ... CASCADE to drop the dependent objects too.',
      },
    );
  for (const { name } of readers)
    notices.push({ code: '00000', message: `drop cascades to column ${name} of table ${def.name}` });
  return [...readers, column].reduce(withoutColumn, def);
}

function replaced(def: TableDef, column: ColumnDef): TableDef {
  return { ...def, columns: def.columns.map((each) => (each.fieldId === column.fieldId ? column : each)) };
}

function alreadyThere(def: TableDef, name: string): SqlError | null {
  if (def.columns.some((column) => column.name === name))
    return new SqlError(SqlState.duplicateColumn, `column "${name}" of relation "${def.name}" already exists`);
  if (SYSTEM_COLUMNS.has(name))
    return new SqlError(SqlState.duplicateColumn, `column name "${name}" conflicts with a system column name`);
  if (name === '__unit' || name === '__position') return notSupported(`column name "${name}"`);
  if (def.columns.some((column) => column.name.toLowerCase() === name.toLowerCase()))
    return notSupported(`column "${name}" beside a column that differs only in case`);
  if (def.partition.some((field) => field.transform !== 'identity' && field.name === name))
    return notSupported(`column "${name}", which is the name of a partition field,`);
  return null;
}

/** With the next numbers; elements of an array have a field id of their own, after that of the column. */
export function numbered(column: ColumnDef, numbers: { fieldId: number; attnum: number }): ColumnDef {
  const own = { ...column, fieldId: ++numbers.fieldId, attnum: ++numbers.attnum };
  return elementOf(column.type) === undefined ? own : { ...own, elementId: ++numbers.fieldId };
}

function withoutColumn(def: TableDef, { fieldId, name }: ColumnDef): TableDef {
  if (def.key.includes(fieldId)) throw notSupported(`dropping column "${name}" of the primary key`);
  if (def.partition.some((field) => field.sourceId === fieldId && field.transform !== 'void'))
    throw new SqlError(
      SqlState.invalidTableDefinition,
      `cannot drop column "${name}" because it is part of the partition key of relation "${def.name}"`,
    );
  if (def.sort.some((field) => field.sourceId === fieldId))
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot drop column ${name} of table ${def.name} because the table is sorted by it`,
      { hint: `ALTER TABLE … SET (sort_by = '…') first.` },
    );
  if (def.columns.length === 1) throw notSupported('a table without columns');
  return {
    ...def,
    columns: def.columns.filter((column) => column.fieldId !== fieldId),
    indexes: def.indexes.filter((index) => !indexedFields(index).includes(fieldId)),
    timeColumn: def.timeColumn === fieldId ? null : def.timeColumn,
  };
}

function renamed(def: TableDef, name: string, to: string): TableDef {
  const column = def.columns.find((each) => each.name === name);
  if (column === undefined) throw new SqlError(SqlState.undefinedColumn, `column "${name}" does not exist`);
  const others = { ...def, columns: def.columns.filter((each) => each !== column || name === to) };
  const there = alreadyThere(others, to);
  if (there !== null) throw there;
  return replaced(def, { ...column, name: to });
}

function defaultOf(column: ColumnDef, value: AlteredDefault | null): ColumnDefault | null {
  if (value === null) return null;
  const known = value.of(column);
  if (known === null) throw unfoldedDefault(column, value.position);
  return known;
}

function hasConstraint(def: TableDef, name: string): boolean {
  const { keyName, checks = [] } = def;
  const isKey = keyName !== '' && keyName === name;
  return isKey || checks.some((check) => check.name === name) || uniqueConstraint(def, name) !== undefined;
}

function withConstraintNamed(def: TableDef, name: string, to: string): TableDef {
  if (!hasConstraint(def, name))
    throw new SqlError(SqlState.undefinedObject, `constraint "${name}" for table "${def.name}" does not exist`);
  if (name === to || hasConstraint(def, to))
    throw new SqlError(SqlState.duplicateObject, `constraint "${to}" for relation "${def.name}" already exists`);
  if (def.keyName === name) return { ...def, keyName: to };
  const unique = uniqueConstraint(def, name);
  if (unique !== undefined)
    return { ...def, indexes: def.indexes.map((each) => (each === unique ? { ...each, name: to } : each)) };
  return { ...def, checks: def.checks!.map((check) => (check.name === name ? { ...check, name: to } : check)) };
}

function withoutConstraint(
  def: TableDef,
  { name, ifExists }: Extract<AlterCommand, { kind: 'dropConstraint' }>,
  skip: (because: string) => unknown,
): TableDef {
  if (ifExists && !hasConstraint(def, name)) {
    skip(`constraint "${name}" of relation "${def.name}" does not exist`);
    return def;
  }
  if (!hasConstraint(def, name))
    throw new SqlError(SqlState.undefinedObject, `constraint "${name}" of relation "${def.name}" does not exist`);
  if (def.keyName === name) return { ...def, key: [], keyName: '', onConflict: 'error' };
  const unique = uniqueConstraint(def, name);
  if (unique !== undefined) return { ...def, indexes: def.indexes.filter((each) => each !== unique) };
  return { ...def, checks: def.checks!.filter((check) => check.name !== name) };
}

/** A2. */
function retyped(column: ColumnDef, { type, using }: Retyping): ColumnDef {
  if (isSameType(column.type, type)) return column;
  if (isTextToOther(column.type, type) && using === null) throw cannotCast(column.name, type);
  return { ...column, type };
}

type Retyping = Extract<AlterCommand, { kind: 'type' }>;

/** A3: whether the values are worked out anew. @throws {SqlError} 42703 */
export function isRetypedByRows(def: TableDef, { name, type, using }: Retyping): boolean {
  const column = columnOf(def, name);
  if (using?.isItself === false) return true;
  if (isSameType(column.type, type) || isPromotion(column.type, type)) return false;
  return using !== null || !isTextToOther(column.type, type);
}

/** A3: the column `by` is there, and its values are. Its number, the last one given, is free again. */
function superseded(
  def: TableDef,
  command: Extract<AlterCommand, { kind: 'supersede' }>,
  numbers: { attnum: number },
): TableDef {
  numbers.attnum--;
  const old = columnOf(def, command.name);
  const by = columnOf(def, command.by);
  const { name, attnum, notNull, comment } = old;
  const column = { ...by, name, attnum, notNull, default: command.default, ...(comment !== undefined && { comment }) };
  const fieldOf = (fieldId: number): number => (fieldId === old.fieldId ? by.fieldId : fieldId);
  const columns = def.columns.filter((each) => each !== by).map((each) => (each === old ? column : each));
  return {
    ...def,
    columns,
    timeColumn: def.timeColumn === old.fieldId ? timeColumn(undefined, columns, def.name) : def.timeColumn,
    indexes: def.indexes.map((index) => ({
      ...index,
      columns: index.columns.map((each) => ({ ...each, fieldId: fieldOf(each.fieldId) })),
      included: index.included.map(fieldOf),
    })),
  };
}

/** 42804 */
export function cannotCast(name: string, type: PgType): SqlError {
  return new SqlError(
    SqlState.datatypeMismatch,
    `column "${name}" cannot be cast automatically to type ${formatType(type)}`,
    { hint: `You might need to specify "USING ${quoteIfNeeded(name)}::${formatType(type)}".` },
  );
}

const isSameType = (left: PgType, right: PgType): boolean => left.oid === right.oid && left.typmod === right.typmod;
const isTextToOther = (from: PgType, to: PgType): boolean => TEXTS.has(from.oid) && !TEXTS.has(to.oid);
const quoteIfNeeded = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteIdentifier(name));

const INTEGERS_UP = [...INTEGERS];

function isPromotion(from: PgType, to: PgType): boolean {
  if (INTEGERS.has(from.oid)) return INTEGERS_UP.indexOf(to.oid) > INTEGERS_UP.indexOf(from.oid);
  if (from.oid === Oid.float4) return to.oid === Oid.float8;
  if (from.oid === Oid.numeric && to.oid === Oid.numeric) {
    if (isWideNumeric(from)) return to.typmod < 0;
    if (isWideNumeric(to)) return false;
    const [old, wide] = [numericModifier(from.typmod), numericModifier(to.typmod)];
    return old !== null && wide !== null && old.scale === wide.scale && old.precision < wide.precision;
  }
  // char(n) is kept without its blanks, which text and varchar(n) would not have either.
  if (to.oid === Oid.bpchar && from.oid !== Oid.bpchar) return false;
  return TEXTS.has(from.oid) && TEXTS.has(to.oid) && (to.typmod < 0 || (from.typmod >= 0 && from.typmod <= to.typmod));
}

function withOption(def: TableDef, name: string, value: string): TableDef {
  switch (name) {
    case 'partition_by':
      return { ...def, partition: partitionFields(value, def.columns, def.name) };
    case 'sort_by':
      return { ...def, sort: sortFields(value, def.columns, def.name) };
    case 'time_column':
      return { ...def, timeColumn: timeColumn(value, def.columns, def.name) };
    case 'on_conflict':
      if (value !== 'error' && value !== 'upsert')
        throw invalid(`invalid value for parameter "on_conflict": "${value}"`, 'Available values: error, upsert.');
      if (value === 'upsert' && def.key.length === 0)
        throw new SqlError(SqlState.invalidTableDefinition, "on_conflict = 'upsert' needs a primary key");
      return { ...def, onConflict: value };
    default:
      if (isHeapParameter(name)) return def;
      if (!isIcebergProperty(name)) throw invalid(`unrecognized parameter "${name}"`);
      return { ...def, options: { ...def.options, [name]: value } };
  }
}

/** What CREATE TABLE would have made of it without the option. PostgreSQL resets what it does not know without a word. */
function withoutOption(def: TableDef, name: string): TableDef {
  switch (name) {
    case 'partition_by':
    case 'sort_by':
      return withOption(def, name, '');
    case 'time_column':
      return { ...def, timeColumn: timeColumn(undefined, def.columns, def.name) };
    case 'on_conflict':
      return { ...def, onConflict: 'error' };
    default: {
      const { [name]: _, ...options } = def.options;
      return { ...def, options };
    }
  }
}
