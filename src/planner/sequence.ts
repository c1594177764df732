/** CREATE, ALTER and DROP SEQUENCE, and the options that serial and identity columns share with them. */
import type { AlterObjectSchemaStmt, AlterSeqStmt, CreateSeqStmt, Node, RangeVar, RenameStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { SequenceOptions } from '../sequence-def.ts';
import { at, defElemText, stringsOf } from './ast.ts';
import type { CatalogView, QualifiedName, Statement } from './plan.ts';
import { creationSchema, hasSystemRelations, refuseSystemSchema } from './schema-names.ts';
import { refuseUnknownType, typeOidOf } from './type-names.ts';
import { INTEGERS } from '../types/type-kinds.ts';

/** @throws {SqlError} 0A000, 42601, 22023 */
export function sequenceOptions(elements: readonly Node[]): SequenceOptions {
  const options: Record<string, unknown> = {};
  for (const element of elements) {
    if (!('DefElem' in element)) continue;
    const { defname = '', arg, location } = element.DefElem;
    const [name, value] = option(defname, arg, location);
    if (name in options) throw new SqlError(SqlState.syntaxError, 'conflicting or redundant options', at(location));
    options[name] = value;
  }
  return options as SequenceOptions;
}

function option(name: string, arg: Node | undefined, location: number | undefined): readonly [string, unknown] {
  const number = (): bigint => BigInt(defElemText(arg) ?? '0');
  switch (name) {
    case 'as': {
      const typeName = arg !== undefined && 'TypeName' in arg ? arg.TypeName : {};
      refuseUnknownType(typeName);
      const oid = typeOidOf(typeName);
      if (oid === undefined || !INTEGERS.has(oid))
        throw new SqlError(SqlState.invalidParameterValue, 'sequence type must be smallint, integer, or bigint');
      return ['typeOid', oid];
    }
    case 'increment':
      return ['increment', number()];
    case 'start':
      return ['start', number()];
    case 'minvalue':
      return ['min', arg === undefined ? null : number()];
    case 'maxvalue':
      return ['max', arg === undefined ? null : number()];
    case 'restart':
      return ['restart', arg === undefined ? null : number()];
    case 'cycle':
      return ['cycle', defElemText(arg) !== 'false'];
    case 'cache': {
      const cache = number();
      if (cache < 1n) throw new SqlError(SqlState.invalidParameterValue, `CACHE (${cache}) must be greater than zero`);
      return ['cache', Number(cache)];
    }
    case 'logged':
    case 'unlogged':
      return ['unlogged', name === 'unlogged'];
    case 'owned_by':
      return ['ownedBy', ownedBy(arg, location)];
    case 'sequence_name': {
      const parts = arg !== undefined && 'List' in arg ? stringsOf(arg.List.items) : [];
      return ['name', { schema: parts.at(-2) ?? null, name: parts.at(-1) ?? '' }];
    }
    default:
      throw notSupported(`the sequence option ${name.toUpperCase()}`, at(location));
  }
}

function ownedBy(arg: Node | undefined, location: number | undefined): SequenceOptions['ownedBy'] {
  const parts = arg !== undefined && 'List' in arg ? stringsOf(arg.List.items) : [];
  if (parts.length === 1 && parts[0] === 'none') return null;
  if (parts.length < 2)
    throw new SqlError(SqlState.syntaxError, 'invalid OWNED BY option', {
      hint: 'Specify OWNED BY table.column or OWNED BY NONE.',
      ...at(location),
    });
  return { schema: parts.at(-3) ?? null, table: parts.at(-2)!, column: parts.at(-1)! };
}

/** @throws {SqlError} 0A000, 3F000, 42501 */
export function planCreateSequence(statement: CreateSeqStmt, view: CatalogView): Statement {
  const relation = statement.sequence ?? {};
  return {
    kind: 'createSequence',
    schema: creationSchema(relation, view, 'sequence'),
    name: relation.relname ?? '',
    options: {
      ...sequenceOptions(statement.options ?? []),
      ...(relation.relpersistence === 'u' ? { unlogged: true } : {}),
    },
    ifNotExists: statement.if_not_exists === true,
  };
}

function nameOf({ schemaname: schema = '', relname: name = '' }: RangeVar): QualifiedName {
  return { schema: schema === '' || hasSystemRelations(schema) ? null : schema, name };
}

/** ALTER TABLE takes sequences, too. */
export function isOfSequence({ renameType, relation = {} }: RenameStmt, view: CatalogView): boolean {
  if (renameType !== 'OBJECT_TABLE') return renameType === 'OBJECT_SEQUENCE';
  const { schema, name } = nameOf(relation);
  return view.table(schema, name) === undefined && view.sequence?.(schema, name) !== undefined;
}

export function planRenameSequence({
  relation = {},
  newname = '',
  missing_ok: missing,
  renameType,
}: RenameStmt): Statement {
  const tag = renameType === 'OBJECT_TABLE' ? 'ALTER TABLE' : 'ALTER SEQUENCE';
  return { kind: 'renameSequence', tag, name: nameOf(relation), ifExists: missing === true, to: { name: newname } };
}

export function planMoveSequence({
  relation = {},
  newschema = '',
  missing_ok: missing,
}: AlterObjectSchemaStmt): Statement {
  refuseSystemSchema(newschema);
  const name = nameOf(relation);
  return { kind: 'renameSequence', tag: 'ALTER SEQUENCE', name, ifExists: missing === true, to: { schema: newschema } };
}

export function planAlterSequence(statement: AlterSeqStmt): Statement {
  return {
    kind: 'alterSequence',
    name: nameOf(statement.sequence ?? {}),
    options: sequenceOptions(statement.options ?? []),
    ifExists: statement.missing_ok === true,
  };
}
