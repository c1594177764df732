/**
 * ALTER TABLE → its subcommands as data. What they mean for a definition is altered-def.ts, which is asked when the table
 * is held: the definition may be another one by then.
 */
import type {
  AlterObjectSchemaStmt,
  AlterTableCmd,
  AlterTableStmt,
  Constraint,
  Node,
  RangeVar,
  RenameStmt,
} from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { PgType } from '../table-def.ts';
import { at, atNode, stringOf, walk } from './ast.ts';
import { newCheck } from './check-constraints.ts';
import { columnDefault } from './column-default.ts';
import { column, KeyCollector, newMaking, SYSTEM_COLUMNS, unlocated, withOptions } from './create-table.ts';
import type { AlterCommand, AlteredDefault } from './alter-command.ts';
import type { CatalogView, QualifiedName, Statement } from './plan.ts';
import { checkDatabase, refuseSystemRelation } from './schema-names.ts';
import { sequenceOptions } from './sequence.ts';
import { truncated } from './truncated-name.ts';
import { columnType, typeOidOf } from './type-names.ts';
import { uniqueShape, writtenUnique, type WrittenUnique } from './unique-constraints.ts';
import { unsupportedStatement } from './utility.ts';

/** @throws {SqlError} 0A000, 42501, 42601, 42701, 42704 */
export function planAlterTable(statement: AlterTableStmt, view: CatalogView): Statement {
  const { objtype, relation = {}, cmds = [], missing_ok: ifExists = false } = statement;
  if (objtype === 'OBJECT_SEQUENCE') return alterSequencePersistence(statement);
  if (objtype !== 'OBJECT_TABLE') throw notSupported(`ALTER ${(objtype ?? '').replace('OBJECT_', '')}`);
  const table = tableName(relation);
  refuseTwoPersistences(cmds);
  const commands = cmds.flatMap((node) =>
    'AlterTableCmd' in node && !MEANS_NOTHING.has(node.AlterTableCmd.subtype ?? '')
      ? planCommand(node.AlterTableCmd, table.name, view)
      : [],
  );
  refuseTwoTypes(commands);
  return { kind: 'alterTable', table, ifExists, commands };
}

/** @throws {SqlError} 0A000 */
function refuseTwoTypes(commands: readonly AlterCommand[]): void {
  const retyped = commands.flatMap((command) => (command.kind === 'type' ? [command.name] : []));
  const twice = retyped.find((name, i) => retyped.indexOf(name) !== i);
  if (twice !== undefined)
    throw new SqlError(SqlState.featureNotSupported, `cannot alter type of column "${twice}" twice`);
}

const PERSISTENCES = /^AT_Set(Un)?Logged$/;

/** ALTER SEQUENCE … SET LOGGED and UNLOGGED. */
function alterSequencePersistence({
  relation = {},
  cmds = [],
  missing_ok: ifExists = false,
}: AlterTableStmt): Statement {
  const [first] = cmds;
  const { subtype = '' } = first !== undefined && 'AlterTableCmd' in first ? first.AlterTableCmd : {};
  if (cmds.length !== 1 || !PERSISTENCES.test(subtype)) throw notSupported('ALTER SEQUENCE');
  const options = { unlogged: subtype === 'AT_SetUnLogged' };
  return { kind: 'alterSequence', name: tableName(relation), options, ifExists };
}

/** @throws {SqlError} 0A000 */
function refuseTwoPersistences(cmds: readonly Node[]): void {
  const isPersistence = (node: Node): boolean =>
    'AlterTableCmd' in node && PERSISTENCES.test(node.AlterTableCmd.subtype ?? '');
  if (cmds.filter(isPersistence).length > 1)
    throw new SqlError(SqlState.featureNotSupported, 'cannot change persistence setting twice');
}

/** Of PostgreSQL's heap and its ANALYZE: taken, as its storage parameters are. */
const MEANS_NOTHING: ReadonlySet<string> = new Set(['AT_SetStatistics', 'AT_SetStorage', 'AT_SetCompression']);

function tableName(relation: RangeVar): QualifiedName {
  checkDatabase(relation);
  const schema = relation.schemaname ?? '';
  if (schema !== '') refuseSystemRelation(schema);
  return { schema: schema === '' ? null : schema, name: relation.relname ?? '' };
}

function planCommand(command: AlterTableCmd, table: string, view: CatalogView): readonly AlterCommand[] {
  if (command.subtype === 'AT_AddColumn') return addColumn(command, table, view);
  return [oneCommand(command, table, view)];
}

function oneCommand(command: AlterTableCmd, table: string, view: CatalogView): AlterCommand {
  const { subtype = '', name = '', def } = command;
  switch (subtype) {
    case 'AT_DropColumn':
      return {
        kind: 'dropColumn',
        name,
        ifExists: command.missing_ok === true,
        cascade: command.behavior === 'DROP_CASCADE',
      };
    case 'AT_AlterColumnType':
      return alterType(name, def);
    case 'AT_ColumnDefault':
      return { kind: 'default', name, value: def === undefined ? null : alteredDefault(def, view) };
    case 'AT_AddIdentity': {
      const { generated_when: when, options = [] }: Constraint =
        def !== undefined && 'Constraint' in def ? def.Constraint : {};
      const identity = when === 'd' ? 'byDefault' : 'always';
      return { kind: 'addIdentity', name, identity, options: sequenceOptions(options), sequence: null };
    }
    case 'AT_SetIdentity':
      return { kind: 'identity', name, identity: generatedWhen(itemsOf(def)), ifExists: false };
    case 'AT_DropIdentity':
      return { kind: 'identity', name, identity: null, ifExists: command.missing_ok === true };
    case 'AT_DropExpression':
      return { kind: 'dropExpression', name, ifExists: command.missing_ok === true };
    case 'AT_AddConstraint':
      return addConstraint(def, table);
    case 'AT_DropConstraint':
      return { kind: 'dropConstraint', name, ifExists: command.missing_ok === true };
    case 'AT_SetNotNull':
      return { kind: 'notNull', name, notNull: true };
    case 'AT_DropNotNull':
      return { kind: 'notNull', name, notNull: false };
    case 'AT_SetLogged':
    case 'AT_SetUnLogged':
      return { kind: 'persistence', isUnlogged: subtype === 'AT_SetUnLogged' };
    case 'AT_SetRelOptions':
      return { kind: 'set', options: withOptions(itemsOf(def)) };
    case 'AT_ResetRelOptions':
      return { kind: 'reset', names: [...withOptions(itemsOf(def)).keys()] };
    default:
      throw notSupported(`ALTER TABLE … ${ACTIONS[subtype] ?? subtype.replace('AT_', '')}`);
  }
}

function generatedWhen(options: readonly Node[]): 'always' | 'byDefault' {
  const [first] = options;
  const option = first !== undefined && 'DefElem' in first ? first.DefElem : {};
  const { arg } = option;
  if (option.defname !== 'generated' || options.length > 1 || arg === undefined || !('Integer' in arg))
    throw notSupported('ALTER TABLE … ALTER COLUMN … with options of a sequence', {
      hint: "Use ALTER SEQUENCE; pg_get_serial_sequence() says the sequence's name.",
    });
  return String.fromCharCode(arg.Integer.ival ?? 0) === 'd' ? 'byDefault' : 'always';
}

/** As the statement says them. */
const ACTIONS: Readonly<Record<string, string>> = {
  AT_ValidateConstraint: 'VALIDATE CONSTRAINT',
  AT_AlterConstraint: 'ALTER CONSTRAINT',
  AT_ChangeOwner: 'OWNER TO',
  AT_SetOptions: 'ALTER COLUMN … SET (…)',
  AT_ResetOptions: 'ALTER COLUMN … RESET (…)',
  AT_ClusterOn: 'CLUSTER ON',
  AT_DropCluster: 'SET WITHOUT CLUSTER',
  AT_SetTableSpace: 'SET TABLESPACE',
  AT_AddInherit: 'INHERIT',
  AT_DropInherit: 'NO INHERIT',
  AT_AddOf: 'OF',
  AT_DropOf: 'NOT OF',
  AT_EnableTrig: 'ENABLE TRIGGER',
  AT_DisableTrig: 'DISABLE TRIGGER',
  AT_EnableRowSecurity: 'ENABLE ROW LEVEL SECURITY',
  AT_DisableRowSecurity: 'DISABLE ROW LEVEL SECURITY',
  AT_ReplicaIdentity: 'REPLICA IDENTITY',
  AT_AttachPartition: 'ATTACH PARTITION',
  AT_DetachPartition: 'DETACH PARTITION',
};

function addColumn(
  { def, missing_ok: ifNotExists = false }: AlterTableCmd,
  table: string,
  view: CatalogView,
): readonly AlterCommand[] {
  const keys = new KeyCollector(table);
  const node = def !== undefined && 'ColumnDef' in def ? def.ColumnDef : {};
  const making = newMaking({ table, keys, view, locates: false });
  const added = column(node, [], making);
  if (keys.apply([added]).key.length > 0) throw notSupported('ALTER TABLE … ADD COLUMN … PRIMARY KEY');
  const [expression = null] = making.expressions;
  const [sequence = null] = making.sequences;
  const [generation] = making.generations.map((each) => ({ generation: each.expression }));
  if (making.uniques.length > 0 && (added.default !== null || expression !== null || generation !== undefined))
    throw notSupported('ALTER TABLE … ADD COLUMN … UNIQUE with a default or an expression', {
      hint: 'Add the column, then the constraint.',
    });
  return [
    { kind: 'addColumn', column: { ...added, attnum: 0 }, ifNotExists, expression, sequence, ...generation },
    ...making.checks.map((check): AlterCommand => ({ ...addCheck(check), column: added.name })),
    ...making.uniques.map((unique): AlterCommand => ({ ...addUnique(unique), column: added.name })),
  ];
}

function addConstraint(def: Node | undefined, table: string): AlterCommand {
  const constraint: Constraint = def !== undefined && 'Constraint' in def ? def.Constraint : {};
  if ((constraint.indexname ?? '') !== '') throw notSupported('ADD CONSTRAINT … USING INDEX');
  if (constraint.contype === 'CONSTR_CHECK') {
    if (constraint.skip_validation === true) throw notSupported('NOT VALID');
    return addCheck(constraint);
  }
  if (constraint.contype === 'CONSTR_UNIQUE') return addUnique(unlocated(() => writtenUnique(constraint, null)));
  const keys = new KeyCollector(table);
  keys.tableConstraint(constraint);
  return { kind: 'addKey', key: keys };
}

function addUnique(unique: WrittenUnique): Extract<AlterCommand, { kind: 'addUnique' }> {
  const name = unique.name === '' ? null : unique.name;
  return { kind: 'addUnique', name, of: (now) => unlocated(() => uniqueShape(unique, now.columns)) };
}

function addCheck(constraint: Constraint): Extract<AlterCommand, { kind: 'addCheck' }> {
  return { kind: 'addCheck', of: (now) => unlocated(() => newCheck(constraint, now)) };
}

function alteredDefault(expression: Node, view: CatalogView): AlteredDefault {
  return {
    of: (column) => unlocated(() => columnDefault(expression, column, view)),
    sql: Deparser.deparse(expression),
    position: atNode(expression).position,
  };
}

/** USING may say the cast that is done anyway. */
function alterType(name: string, def: Node | undefined): AlterCommand {
  const node = def !== undefined && 'ColumnDef' in def ? def.ColumnDef : {};
  const typeName = node.typeName ?? {};
  const type: PgType = columnType(typeName, name);
  if (node.collClause !== undefined) throw notSupported('COLLATE of a column');
  const using = node.raw_default;
  const cast = using !== undefined && 'TypeCast' in using ? using.TypeCast : null;
  const inner = cast === null ? using : cast.arg;
  const itself = inner !== undefined && 'ColumnRef' in inner && stringOf(inner.ColumnRef.fields?.at(-1)) === name;
  const { position } = at(typeName.location);
  if (using === undefined) return { kind: 'type', name, type, position, using: null };
  refuseSubquery(using);
  const isItself = itself && (cast === null || typeOidOf(cast.typeName) === type.oid);
  return { kind: 'type', name, type, position, using: { sql: Deparser.deparse(using), isItself } };
}

/** @throws {SqlError} 0A000 */
function refuseSubquery(using: Node): void {
  walk([using], (tag, body) => {
    if (tag !== 'SubLink') return;
    const place = at(body['location'] as number | undefined);
    throw new SqlError(SqlState.featureNotSupported, 'cannot use subquery in transform expression', place);
  });
}

function itemsOf(def: Node | undefined): readonly Node[] {
  return def !== undefined && 'List' in def ? (def.List.items ?? []) : [];
}

/** @throws {SqlError} 0A000 for what is no table, index, column or constraint of a table */
export function planRename(statement: RenameStmt): Statement {
  const { renameType, relation = {}, subname: name = '', missing_ok: ifExists = false } = statement;
  const to = truncated(statement.newname ?? '');
  const one = (command: AlterCommand): Statement => ({
    kind: 'alterTable',
    table: tableName(relation),
    ifExists,
    commands: [command],
  });
  switch (renameType) {
    case 'OBJECT_TABLE':
      return { kind: 'renameTable', table: tableName(relation), ifExists, to: { name: to } };
    case 'OBJECT_INDEX':
      return { kind: 'renameIndex', index: tableName(relation), ifExists, to };
    case 'OBJECT_COLUMN':
      if (statement.relationType !== 'OBJECT_TABLE') break;
      if (SYSTEM_COLUMNS.has(name)) throw notRenamed(name);
      return one({ kind: 'renameColumn', name, to });
    case 'OBJECT_TABCONSTRAINT':
      return one({ kind: 'renameConstraint', name, to });
    default:
  }
  throw unsupportedStatement({ RenameStmt: statement });
}

function notRenamed(name: string): SqlError {
  return new SqlError(SqlState.featureNotSupported, `cannot rename system column "${name}"`);
}

/** @throws {SqlError} 0A000 for what is no table */
export function planSetSchema(statement: AlterObjectSchemaStmt): Statement {
  if (statement.objectType !== 'OBJECT_TABLE') throw unsupportedStatement({ AlterObjectSchemaStmt: statement });
  const schema = statement.newschema ?? '';
  if (schema === 'pg_temp')
    throw new SqlError(SqlState.featureNotSupported, 'cannot move objects into or out of temporary schemas');
  refuseSystemRelation(schema);
  return {
    kind: 'renameTable',
    table: tableName(statement.relation ?? {}),
    ifExists: statement.missing_ok === true,
    to: { schema },
  };
}
