/** Definitions of sequences: their own statements, and those that come with the columns of a table. */
import { SqlError, SqlState } from '../errors.ts';
import type { OwnedSequence, SequenceDef, SequenceOptions, SequenceOwner, StoredSequence } from '../sequence-def.ts';
import type { TableDef } from '../table-def.ts';
import { along, definitionsOf, relationNamed, type Relations } from './relations.ts';
import type { Sequence } from './sequence.ts';
import { alteredSequence, newSequence } from './sequence-rules.ts';

const NAME_BYTES_MAX = 63;

/** @throws {SqlError} 42P07 */
export function refuseTaken(relations: Relations, schema: string, name: string): void {
  if (relationNamed(relations, schema, name) !== null)
    throw new SqlError(SqlState.duplicateTable, `relation "${name}" already exists`);
}

/** Null: it is there, and `ifNotExists` says that is fine. @throws {SqlError} 3F000, 42P07, 22023, 55000 */
export function sequenceToMake(
  relations: Relations,
  { schema, name }: { readonly schema: string; readonly name: string },
  options: SequenceOptions,
  ifNotExists: boolean,
  searchPath: readonly string[],
  takeOid: () => number,
): SequenceDef | null {
  if (!relations.hasSchema(schema)) throw new SqlError(SqlState.invalidSchemaName, `schema "${schema}" does not exist`);
  if (ifNotExists && relationNamed(relations, schema, name) !== null) return null;
  refuseTaken(relations, schema, name);
  const owner = ownerOf(relations, schema, options.ownedBy ?? null, searchPath);
  return newSequence({ oid: takeOid(), schema, name, owner }, options);
}

/** What ALTER SEQUENCE makes of one. @throws {SqlError} 22023, 55000, 42P01, 42703 */
export function sequenceToBe(
  relations: Relations,
  sequence: Sequence,
  options: SequenceOptions,
  searchPath: readonly string[],
): StoredSequence {
  const { def, state } = alteredSequence({ def: sequence.def, state: sequence.state }, options);
  if (options.ownedBy !== undefined && def.owner?.isIdentity === true)
    throw new SqlError(SqlState.featureNotSupported, 'cannot change ownership of identity sequence', {
      detail: `Sequence "${def.name}" is linked to table "${tableNamed(relations, def.owner)}".`,
    });
  const { schema } = relations.sequenceDefinition(sequence);
  const owner = options.ownedBy === undefined ? def.owner : ownerOf(relations, schema, options.ownedBy, searchPath);
  return { def: { ...def, owner }, state };
}

function tableNamed(relations: Relations, owner: SequenceOwner): string {
  return definitionsOf(relations).find(({ uuid }) => uuid === owner.tableUuid)?.name ?? '';
}

function ownerOf(
  relations: Relations,
  schema: string,
  ownedBy: Exclude<SequenceOptions['ownedBy'], undefined>,
  searchPath: readonly string[],
): SequenceOwner | null {
  if (ownedBy === null) return null;
  const { table: name, column: columnName } = ownedBy;
  const table = along(searchPath, ownedBy.schema, (each) => relations.table(each, name));
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

/** @throws {SqlError} 2BP01, 0A000 */
export function refuseNeeded(relations: Relations, { oid, name, owner }: SequenceDef, cascade: boolean): void {
  for (const def of definitionsOf(relations)) {
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

/** The sequences that a new table's columns come with, and the definition that names them. @throws {SqlError} 42P07 */
export function ownedSequences(
  relations: Relations,
  def: TableDef,
  owned: readonly OwnedSequence[],
  takeOid: () => number,
): { readonly def: TableDef; readonly sequences: readonly SequenceDef[] } {
  const sequences: SequenceDef[] = [];
  const columns = [...def.columns];
  for (const { fieldId, isIdentity, options } of owned) {
    const index = columns.findIndex((column) => column.fieldId === fieldId);
    const column = columns[index]!;
    const schema = options.name?.schema ?? def.schema;
    const isTaken = (name: string): boolean =>
      relationNamed(relations, schema, name) !== null || sequences.some((each) => each.name === name);
    const name = options.name?.name ?? freeName(def, column.name, isTaken);
    refuseTaken(relations, schema, name);
    const owner = { tableUuid: def.uuid, fieldId, isIdentity };
    const oid = takeOid();
    sequences.push(newSequence({ oid, schema, name, owner }, options));
    columns[index] = { ...column, default: { kind: 'nextval', sequence: oid } };
  }
  return { def: { ...def, columns }, sequences };
}

/** `table_column_seq`, cut to 63 bytes, with a number when it is taken. */
function freeName({ name }: TableDef, column: string, isTaken: (name: string) => boolean): string {
  for (let pass = 0; ; pass++) {
    const label = `_seq${pass === 0 ? '' : pass}`;
    const made = `${madeOf(name, column, NAME_BYTES_MAX - 1 - label.length)}${label}`;
    if (made !== name && !isTaken(made)) return made;
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
