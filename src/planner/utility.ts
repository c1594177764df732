/** Statements that are neither queries nor writes: transactions, schemas, session commands, and the refusals by name. */
import type {
  CallStmt,
  CreateSchemaStmt,
  DropStmt,
  LockStmt,
  Node,
  RenameStmt,
  TransactionStmt,
  VacuumStmt,
} from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { at, constantText, defElemBoolean, plainName, stringOf, stringsOf, tagOf } from './ast.ts';
import type { CatalogView, QualifiedName, Statement } from './plan.ts';
import { planDropExtension } from './extensions.ts';
import { roleName } from './roles.ts';
import {
  DATABASE,
  findView,
  isSystemSchema,
  refuseSystemRelation,
  refuseSystemSchema,
  targetTable,
} from './schema-names.ts';
import { transactionModes } from './settings.ts';

/** @throws {SqlError} 0A000 for two-phase commit */
export function planTransaction(statement: TransactionStmt): Statement {
  const chain = statement.chain === true;
  const name = statement.savepoint_name ?? '';
  switch (statement.kind) {
    case 'TRANS_STMT_BEGIN':
      return { kind: 'begin', tag: 'BEGIN', modes: transactionModes(statement.options ?? []) };
    case 'TRANS_STMT_START':
      return { kind: 'begin', tag: 'START TRANSACTION', modes: transactionModes(statement.options ?? []) };
    case 'TRANS_STMT_COMMIT':
      return { kind: 'commit', chain };
    case 'TRANS_STMT_ROLLBACK':
      return { kind: 'rollback', chain };
    case 'TRANS_STMT_SAVEPOINT':
      return { kind: 'savepoint', name };
    case 'TRANS_STMT_RELEASE':
      return { kind: 'release', name };
    case 'TRANS_STMT_ROLLBACK_TO':
      return { kind: 'rollbackTo', name };
    case 'TRANS_STMT_PREPARE':
      throw notSupported('PREPARE TRANSACTION');
    case 'TRANS_STMT_COMMIT_PREPARED':
      throw notSupported('COMMIT PREPARED');
    default:
      throw notSupported('ROLLBACK PREPARED');
  }
}

const ACCESS_EXCLUSIVE = 8;

const ROW_EXCLUSIVE = 3;

/** @throws {SqlError} 42P01, 42809; 0A000 for views in modes that keep others out */
export function planLockTable(
  { relations = [], mode = ACCESS_EXCLUSIVE, nowait }: LockStmt,
  view: CatalogView,
): Statement {
  const defs = relations.flatMap((node) => {
    if (!('RangeVar' in node)) return [];
    if (findView(node.RangeVar, view) === undefined) return [targetTable(node.RangeVar, view, 'lock')];
    if (mode > ROW_EXCLUSIVE) throw notSupported('LOCK TABLE of a view', { hint: 'Lock its tables.' });
    return [];
  });
  return { kind: 'lockTable', defs, mode, nowait: nowait === true };
}

/** What a failed transaction block takes. */
export function endsFailedBlock(node: unknown): boolean {
  if (typeof node !== 'object' || node === null || !('TransactionStmt' in node)) return false;
  const { kind } = node.TransactionStmt as TransactionStmt;
  return kind === 'TRANS_STMT_COMMIT' || kind === 'TRANS_STMT_ROLLBACK' || kind === 'TRANS_STMT_ROLLBACK_TO';
}

export function planCreateSchema(statement: CreateSchemaStmt): Statement {
  if ((statement.schemaElts ?? []).length > 0) throw notSupported('CREATE SCHEMA with elements');
  const owner = statement.authrole === undefined ? null : roleName(statement.authrole);
  const given = statement.schemaname ?? '';
  if (given === '' && owner?.kind !== 'named') throw notSupported('CREATE SCHEMA AUTHORIZATION without a name');
  const name = given === '' && owner?.kind === 'named' ? owner.name : given;
  refuseReservedName(name);
  return { kind: 'createSchema', name, ifNotExists: statement.if_not_exists === true, owner };
}

/** @throws {SqlError} 42939 */
function refuseReservedName(name: string): void {
  if (!isSystemSchema(name)) return;
  throw new SqlError(SqlState.reservedName, `unacceptable schema name "${name}"`, {
    detail: 'The prefix "pg_" and the names arka and information_schema are reserved.',
  });
}

/** @throws {SqlError} 42501, 42939; 0A000 for the schema that is always there */
export function planRenameSchema({ subname: name = '', newname: to = '' }: RenameStmt): Statement {
  refuseSystemSchema(name);
  refuseReservedName(to);
  if (name === 'public')
    throw notSupported('renaming schema public', {
      hint: 'CREATE another schema and ALTER TABLE … SET SCHEMA.',
    });
  return { kind: 'renameSchema', name, to };
}

const OBJECTS: Readonly<Record<string, string>> = {
  OBJECT_MATVIEW: 'MATERIALIZED VIEW',
  OBJECT_FOREIGN_TABLE: 'FOREIGN TABLE',
  OBJECT_EVENT_TRIGGER: 'EVENT TRIGGER',
  OBJECT_FDW: 'FOREIGN DATA WRAPPER',
};

/** @throws {SqlError} 0A000, 42501 */
export function planDrop(statement: DropStmt): Statement {
  const ifExists = statement.missing_ok === true;
  const cascade = statement.behavior === 'DROP_CASCADE';
  switch (statement.removeType) {
    case 'OBJECT_TABLE': {
      const names = (statement.objects ?? []).map(qualifiedName);
      for (const name of names) if (name.schema !== null) refuseSystemRelation(name.schema);
      return { kind: 'dropTable', names, ifExists, cascade };
    }
    case 'OBJECT_INDEX': {
      const names = (statement.objects ?? []).map(qualifiedName);
      for (const name of names) if (name.schema !== null) refuseSystemRelation(name.schema);
      if (statement.concurrent === true && names.length > 1)
        throw new SqlError(
          SqlState.featureNotSupported,
          'DROP INDEX CONCURRENTLY does not support dropping multiple objects',
        );
      return { kind: 'dropIndex', names, ifExists };
    }
    case 'OBJECT_SEQUENCE': {
      const names = (statement.objects ?? []).map(qualifiedName);
      for (const name of names) if (name.schema !== null) refuseSystemRelation(name.schema);
      return { kind: 'dropSequence', names, ifExists, cascade };
    }
    case 'OBJECT_EXTENSION':
      return planDropExtension(statement);
    case 'OBJECT_SCHEMA': {
      const names = (statement.objects ?? []).map(stringOf);
      names.forEach(refuseSystemSchema);
      return { kind: 'dropSchema', names, ifExists, cascade };
    }
    default: {
      const object = statement.removeType ?? '';
      throw notSupported(`DROP ${OBJECTS[object] ?? object.replace('OBJECT_', '').replaceAll('_', ' ')}`);
    }
  }
}

export function qualifiedName(node: Node): QualifiedName {
  const parts = 'List' in node ? stringsOf(node.List.items) : [stringOf(node)];
  if (parts.length > 3)
    throw new SqlError(SqlState.syntaxError, `improper qualified name (too many dotted names): ${parts.join('.')}`);
  if (parts.length === 3 && parts[0] !== DATABASE)
    throw notSupported(`a reference to another database: "${parts.join('.')}"`);
  return { schema: parts.at(-2) ?? null, name: parts.at(-1)! };
}

/** Options of VACUUM that Arka has nothing to do for, whatever their value. */
const VACUUM_REFUSED: ReadonlySet<string> = new Set([
  'buffer_usage_limit',
  'disable_page_skipping',
  'freeze',
  'index_cleanup',
  'only_database_stats',
  'parallel',
  'process_main',
  'process_toast',
  'skip_database_stats',
  'skip_locked',
  'truncate',
]);

/** @throws {SqlError} 42P01, 42501; 0A000 for options that mean nothing here */
export function planVacuum(statement: VacuumStmt, view: CatalogView): Statement {
  const given = { full: false, verbose: false };
  for (const option of statement.options ?? []) {
    if (!('DefElem' in option)) continue;
    const { defname = '', arg, location } = option.DefElem;
    if (defname === 'full' || defname === 'verbose') given[defname] = defElemBoolean(defname, arg);
    else if (defname === 'analyze') defElemBoolean(defname, arg);
    else if (VACUUM_REFUSED.has(defname)) throw notSupported(`VACUUM (${defname.toUpperCase()})`, at(location));
    else throw new SqlError(SqlState.syntaxError, `unrecognized VACUUM option "${defname}"`, at(location));
  }
  const defs = (statement.rels ?? []).flatMap((each) => {
    if (!('VacuumRelation' in each)) return [];
    const { relation = {}, va_cols: columns = [] } = each.VacuumRelation;
    if (columns.length > 0) throw notSupported('VACUUM of columns', at(relation.location));
    return [targetTable(relation, view, 'vacuum')];
  });
  return { kind: 'vacuum', defs: defs.length === 0 ? null : defs, ...given };
}

/** ANALYZE: what is known of values is kept with the files that have them, so there is nothing to do. @throws {SqlError} 42P01 */
export function planAnalyze(statement: VacuumStmt, view: CatalogView): Statement {
  for (const each of statement.rels ?? [])
    if ('VacuumRelation' in each) targetTable(each.VacuumRelation.relation ?? {}, view, 'analyze');
  return { kind: 'accepted', tag: 'ANALYZE' };
}

/** CALL arka.flush('t') and arka.commit('t'): the name is read as regclass reads it. */
export function planCall(statement: CallStmt, view: CatalogView): Statement {
  const call = statement.funccall;
  const name = plainName(call?.funcname);
  const procedure = name === 'arka.flush' ? 'flush' : name === 'arka.commit' ? 'commit' : null;
  if (procedure === null) {
    throw new SqlError(
      SqlState.undefinedFunction,
      `procedure ${name}(${(call?.args ?? []).map(() => 'unknown').join(', ')}) does not exist`,
      at(call?.location),
    );
  }
  const [argument, ...rest] = call?.args ?? [];
  const inner = argument !== undefined && 'TypeCast' in argument ? argument.TypeCast.arg : argument;
  const text = inner === undefined ? null : constantText(inner);
  if (text === null || rest.length > 0)
    throw notSupported(`CALL ${name} with anything but one table's name`, at(call?.location));
  const parts = identifierParts(text);
  const [table = '', schema = null] = parts.toReversed();
  const def = parts.length > 3 || (parts.length === 3 && parts[0] !== DATABASE) ? undefined : view.table(schema, table);
  if (def === undefined) throw new SqlError(SqlState.undefinedTable, `relation "${text}" does not exist`);
  return { kind: 'call', procedure, def };
}

/** `"A b".c` → parts: quoted as written, others in lower case. */
export function identifierParts(text: string): readonly string[] {
  const parts: string[] = [];
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([^".\s]+))\s*(\.|$)/gy;
  let end = 0;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    parts.push(match[1] !== undefined ? match[1].replaceAll('""', '"') : match[2]!.toLowerCase());
    end = pattern.lastIndex;
    if (match[3] === '') break;
  }
  if (parts.length === 0 || end !== text.length) throw new SqlError(SqlState.syntaxError, 'invalid name syntax');
  return parts;
}

const STATEMENTS: Readonly<Record<string, string>> = {
  AlterTableStmt: 'ALTER TABLE',
  RenameStmt: 'ALTER … RENAME',
  AlterObjectSchemaStmt: 'ALTER … SET SCHEMA',
  AlterOwnerStmt: 'ALTER … OWNER TO',
  TruncateStmt: 'TRUNCATE',
  MergeStmt: 'MERGE',
  CreateFunctionStmt: 'CREATE FUNCTION',
  DoStmt: 'an anonymous code block (DO)',
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  LockStmt: 'LOCK TABLE',
  ClusterStmt: 'CLUSTER',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreateEnumStmt: 'CREATE TYPE',
  CompositeTypeStmt: 'CREATE TYPE',
  CreateRangeStmt: 'CREATE TYPE',
  CreateDomainStmt: 'CREATE DOMAIN',
  RuleStmt: 'CREATE RULE',
  DefineStmt: 'CREATE of this object',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
  LoadStmt: 'LOAD',
  AlterSystemStmt: 'ALTER SYSTEM',
  CreatePolicyStmt: 'CREATE POLICY',
  CreateStatsStmt: 'CREATE STATISTICS',
  CreatePublicationStmt: 'CREATE PUBLICATION',
  CreateSubscriptionStmt: 'CREATE SUBSCRIPTION',
  SecLabelStmt: 'SECURITY LABEL',
  CreateForeignTableStmt: 'CREATE FOREIGN TABLE',
  ImportForeignSchemaStmt: 'IMPORT FOREIGN SCHEMA',
};

/** What PostgreSQL calls a statement that it carries out outside of transaction blocks only; null: another one. */
export function neverInBlock(node: unknown): string | null {
  const [tag = '', body] = Object.entries(node ?? {})[0] ?? [];
  const { concurrent, kind, params } = (body ?? {}) as { concurrent?: boolean; kind?: string; params?: object[] };
  switch (tag) {
    case 'CreatedbStmt':
    case 'DropdbStmt':
    case 'AlterSystemStmt':
    case 'ClusterStmt':
      return STATEMENTS[tag]!;
    case 'CreateTableSpaceStmt':
      return 'CREATE TABLESPACE';
    case 'DropTableSpaceStmt':
      return 'DROP TABLESPACE';
    case 'IndexStmt':
      return concurrent === true ? 'CREATE INDEX CONCURRENTLY' : null;
    case 'DropStmt':
      return concurrent === true ? 'DROP INDEX CONCURRENTLY' : null;
    case 'ReindexStmt':
      if (kind === 'REINDEX_OBJECT_DATABASE') return 'REINDEX DATABASE';
      if (kind === 'REINDEX_OBJECT_SCHEMA') return 'REINDEX SCHEMA';
      if (kind === 'REINDEX_OBJECT_SYSTEM') return 'REINDEX SYSTEM';
      return JSON.stringify(params ?? []).includes('"concurrently"') ? 'REINDEX CONCURRENTLY' : null;
    default:
      return null;
  }
}

/** What to do instead. */
const HINTS: Readonly<Record<string, string>> = {
  DoStmt: 'Send the statements that it has one by one.',
  CreateFunctionStmt: 'Write the expression into the statements, or make a view.',
};

export function unsupportedStatement(node: Node): SqlError {
  const tag = tagOf(node);
  const hint = HINTS[tag];
  return notSupported(
    STATEMENTS[tag] ??
      tag
        .replace(/Stmt$/, '')
        .replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ')
        .toUpperCase(),
    hint === undefined ? {} : { hint },
  );
}
