/** Definitions of sequences: their own statements, and those that come with the columns of a table. */
import { SqlError, SqlState } from '../errors.ts';
import type { OwnedSequence, SequenceDef, SequenceOptions, SequenceOwner } from '../sequence-def.ts';
import type { TableDef } from '../table-def.ts';
import type { Database } from './database.ts';
import { relationNamed } from './define-index.ts';
import type { Sequence } from './sequence.ts';
import { alteredSequence, newSequence } from './sequence-rules.ts';

const NAME_BYTES_MAX = 63;

/** @throws {SqlError} 42P07 */
function refuseTaken(database: Database, schema: string, name: string): void {
  if (relationNamed(database, schema, name) !== null)
    throw new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
}

/** Null: it was there and `ifNotExists` said that is fine. @throws {SqlError} 3F000, 42P07, 22023, 55000 */
export function createSequence(
  database: Database,
  { schema, name }: { readonly schema: string; readonly name: string },
  options: SequenceOptions,
  ifNotExists: boolean,
  searchPath: readonly string[],
): Promise<Sequence | null> {
  return database.define(async () => {
    if (!database.schemas.has(schema))
      throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
    if (ifNotExists && relationNamed(database, schema, name) !== null) return null;
    refuseTaken(database, schema, name);
    const owner = ownerOf(database, schema, options.ownedBy ?? null, searchPath);
    return database.sequences.create(newSequence({ oid: database.takeOid(), schema, name, owner }, options));
  });
}

/** @throws {SqlError} 22023, 55000, 42P01, 42703 */
export function alterSequence(
  database: Database,
  sequence: Sequence,
  options: SequenceOptions,
  searchPath: readonly string[],
): Promise<void> {
  return database.define(async () => {
    const { def, state } = alteredSequence({ def: sequence.def, state: sequence.state }, options);
    if (options.ownedBy !== undefined && def.owner?.isIdentity === true)
      throw new SqlError(SqlState.featureNotSupported, 'cannot change ownership of identity sequence', {
        detail: `Sequence "${def.name}" is linked to table "${tableNamed(database, def.owner)}".`,
      });
    const owner =
      options.ownedBy === undefined ? def.owner : ownerOf(database, def.schema, options.ownedBy, searchPath);
    await database.sequences.redefine(sequence, { ...def, owner }, state);
  });
}

/** @throws {SqlError} 42P07 */
export function renameSequence(database: Database, sequence: Sequence, name: string): Promise<void> {
  return database.define(async () => {
    refuseTaken(database, sequence.def.schema, name);
    await database.sequences.redefine(sequence, { ...sequence.def, name }, sequence.state);
  });
}

function tableNamed(database: Database, owner: SequenceOwner): string {
  return database.tables.get(owner.tableUuid)?.def.name ?? '';
}

function ownerOf(
  database: Database,
  schema: string,
  ownedBy: Exclude<SequenceOptions['ownedBy'], undefined>,
  searchPath: readonly string[],
): SequenceOwner | null {
  if (ownedBy === null) return null;
  const { table: name, column: columnName } = ownedBy;
  const table = (ownedBy.schema === null ? searchPath : [ownedBy.schema])
    .map((each) => database.table(each, name))
    .find((each) => each !== undefined);
  if (table === undefined) throw new SqlError(SqlState.undefinedTable, `relation "${name}" does not exist`);
  if (table.def.schema !== schema)
    throw new SqlError(
      SqlState.objectNotInPrerequisiteState,
      'sequence must be in same schema as table it is linked to',
    );
  const column = table.def.columns.find((each) => each.name === columnName);
  if (column === undefined)
    throw new SqlError(SqlState.undefinedColumn, `column "${columnName}" of relation "${name}" does not exist`);
  return { tableUuid: table.def.uuid, fieldId: column.fieldId, isIdentity: false };
}

/** @throws {SqlError} 2BP01 while a column's default needs one of them */
export function dropSequences(database: Database, sequences: readonly Sequence[], cascade: boolean): Promise<void> {
  return database.define(async () => {
    for (const sequence of sequences) refuseNeeded(database, sequence.def, cascade);
    for (const sequence of sequences) await database.sequences.drop(sequence);
  });
}

function refuseNeeded(database: Database, { oid, name, owner }: SequenceDef, cascade: boolean): void {
  for (const { def } of database.tables.values()) {
    const column = def.columns.find((each) => each.default?.kind === 'nextval' && each.default.sequence === oid);
    if (column === undefined) continue;
    const what = `default value for column ${column.name} of table ${def.name}`;
    if (owner?.isIdentity === true)
      throw new SqlError(
        SqlState.dependentObjectsStillExist,
        `cannot drop sequence ${name} because column ${column.name} of table ${def.name} requires it`,
        { hint: `You can drop column ${column.name} of table ${def.name} instead.` },
      );
    if (cascade)
      throw new SqlError(SqlState.featureNotSupported, `DROP SEQUENCE … CASCADE of ${what} is not supported`);
    throw new SqlError(
      SqlState.dependentObjectsStillExist,
      `cannot drop sequence ${name} because other objects depend on it`,
      {
        detail: `${what} depends on sequence ${name}`,
        hint: 'Use DROP ... CASCADE to drop the dependent objects too.',
      },
    );
  }
}

/** Makes the sequences of a new table's columns; the definition that names them. */
export async function createOwned(
  database: Database,
  def: TableDef,
  owned: readonly OwnedSequence[],
): Promise<{ readonly def: TableDef; readonly made: readonly Sequence[] }> {
  const made: Sequence[] = [];
  const columns = [...def.columns];
  for (const { fieldId, isIdentity, options } of owned) {
    const index = columns.findIndex((column) => column.fieldId === fieldId);
    const column = columns[index]!;
    const schema = options.name?.schema ?? def.schema;
    const name = options.name?.name ?? freeName(database, def, column.name);
    refuseTaken(database, schema, name);
    const owner = { tableUuid: def.uuid, fieldId, isIdentity };
    const oid = database.takeOid();
    made.push(await database.sequences.create(newSequence({ oid, schema, name, owner }, options)));
    columns[index] = { ...column, default: { kind: 'nextval', sequence: oid } };
  }
  return { def: { ...def, columns }, made };
}

/** `table_column_seq`, cut to 63 bytes, with a number when it is taken. */
function freeName(database: Database, { schema, name }: TableDef, column: string): string {
  for (let pass = 0; ; pass++) {
    const label = `_seq${pass === 0 ? '' : pass}`;
    const made = `${madeOf(name, column, NAME_BYTES_MAX - 1 - label.length)}${label}`;
    if (made !== name && relationNamed(database, schema, made) === null) return made;
  }
}

/** As makeObjectName does it: the longer of the two names gives way. */
function madeOf(first: string, second: string, bytesMax: number): string {
  let a = first;
  let b = second;
  while (Buffer.byteLength(a) + Buffer.byteLength(b) > bytesMax) {
    if (Buffer.byteLength(a) > Buffer.byteLength(b)) a = [...a].slice(0, -1).join('');
    else b = [...b].slice(0, -1).join('');
  }
  return `${a}_${b}`;
}
