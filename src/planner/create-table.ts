/** CREATE TABLE → TableDraft: columns, primary key, options. What a table here cannot have says 0A000. */
import type { ColumnDef as ColumnNode, Constraint, CreateStmt, Node } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState } from '../errors.ts';
import type { OwnedSequence } from '../sequence-def.ts';
import type { ColumnDef, ColumnDefault } from '../table-def.ts';
import { elementOf, isHashable } from '../types/pg-type.ts';
import { at, atNode, defElemText, stringsOf, unsupported } from './ast.ts';
import { checksOf } from './check-constraints.ts';
import { columnDefault } from './column-default.ts';
import { withGenerations, type Generation } from './generation.ts';
import { tableOptions } from './options.ts';
import type { CatalogView, DefaultExpression, Statement, TableDraft } from './plan.ts';
import { creationSchema, onCommitOf } from './schema-names.ts';
import { formatType } from '../types/format-type.ts';
import { sequenceOptions } from './sequence.ts';
import { columnsLike } from './table-like.ts';
import { truncated } from './truncated-name.ts';
import { nameForKey, uniqueIndexes, writtenUnique, type WrittenUnique } from './unique-constraints.ts';
import { columnType, serialType } from './type-names.ts';
import { FLOATS, INTEGERS } from '../types/type-kinds.ts';

const COLUMNS_MAX = 1600;
const NAME_BYTES_MAX = 63;

/** @throws {SqlError} 0A000, 3F000, 42501, 42701, 42703, 42704, 42P16, 22023 */
export function planCreateTable(statement: CreateStmt, view: CatalogView): Statement {
  refuseShapes(statement);
  const relation = statement.relation ?? {};
  const schema = creationSchema(relation, view);
  const onCommit = onCommitOf(statement.oncommit, schema);
  const name = truncated(relation.relname ?? '');
  const keys = new KeyCollector(name);
  const columns: ColumnDef[] = [];
  const likes: ReturnType<typeof columnsLike>[] = [];
  const making = newMaking({ table: name, keys, view, locates: true });
  for (const element of statement.tableElts ?? []) {
    if ('ColumnDef' in element) columns.push(column(element.ColumnDef, columns, making));
    else if ('Constraint' in element && element.Constraint.contype === 'CONSTR_CHECK')
      making.checks.push(element.Constraint);
    else if ('Constraint' in element && element.Constraint.contype === 'CONSTR_UNIQUE')
      making.uniques.push(writtenUnique(element.Constraint, null));
    else if ('Constraint' in element) keys.tableConstraint(element.Constraint);
    else if ('TableLikeClause' in element) {
      const like = columnsLike(element.TableLikeClause, columns, making);
      columns.push(...like.columns);
      likes.push(like);
    }
  }
  // after the key that the statement itself names, as PostgreSQL does
  for (const { key } of likes) if (key.length > 0) keys.add(key, {});
  if (columns.length === 0) throw unsupported('a table without columns');
  if (columns.length > COLUMNS_MAX)
    throw new SqlError(SqlState.programLimitExceeded, `tables can have at most ${COLUMNS_MAX} columns`);
  const made = withGenerations(columns, making.generations, name);
  const { key, keyName: ownName, columns: withKeys } = keys.apply(made);
  const keyName = (keys.isNamed ? null : nameForKey(making.uniques, withKeys, key)) ?? ownName;
  const options = tableOptions(withOptions(statement.options ?? []), withKeys, name);
  if (options.onConflict === 'upsert' && key.length === 0) {
    throw new SqlError(SqlState.invalidTableDefinition, "on_conflict = 'upsert' needs a primary key");
  }
  const draft: TableDraft = {
    uuid: '',
    oid: 0,
    schema,
    name,
    schemaId: 0,
    columns: withElements(withKeys),
    key,
    keyName,
    indexes: [],
    ...options,
    ...(onCommit === undefined ? {} : { onCommit }),
    ...(relation.relpersistence === 'u' ? { unlogged: true } : {}),
    ...checksOf(making.checks, withKeys, name),
  };
  const { sequences, expressions } = making;
  const ifNotExists = statement.if_not_exists === true;
  const planned = { kind: 'createTable', draft, ifNotExists, sequences, expressions } as const;
  const likened = likes.flatMap((like) => like.indexes.map((index) => ({ name: null, index })));
  const indexes = [...uniqueIndexes(making.uniques, withKeys, key), ...likened];
  if (likes.length > 0) return { ...planned, likes: likes.map(({ source }) => source), indexes };
  return indexes.length === 0 ? planned : { ...planned, indexes };
}

/** Elements of arrays have field ids of their own, behind those of all columns. */
function withElements(columns: readonly ColumnDef[]): readonly ColumnDef[] {
  let last = columns.length;
  return columns.map((one) => (elementOf(one.type) === undefined ? one : { ...one, elementId: ++last }));
}

/** What the columns of a table bring with them. */
export interface Making {
  readonly table: string;
  readonly keys: KeyCollector;
  readonly view: CatalogView;
  readonly sequences: OwnedSequence[];
  /** CHECK constraints of columns and of the table. */
  readonly checks: Constraint[];
  readonly uniques: WrittenUnique[];
  readonly expressions: DefaultExpression[];
  /** Of generated columns: all columns of the table are known first. */
  readonly generations: Generation[];
  /** Errors of defaults say where they are. */
  readonly locates: boolean;
}

export function newMaking(given: Pick<Making, 'table' | 'keys' | 'view' | 'locates'>): Making {
  return { ...given, sequences: [], checks: [], uniques: [], expressions: [], generations: [] };
}

function refuseShapes(statement: CreateStmt): void {
  if (statement.partspec !== undefined || statement.partbound !== undefined) {
    throw unsupported('PARTITION BY').with({ hint: "Use WITH (partition_by = 'day(ts)')." });
  }
  if ((statement.inhRelations ?? []).length > 0) throw unsupported('INHERITS');
  if (statement.ofTypename !== undefined) throw unsupported('CREATE TABLE … OF');
  if ((statement.tablespacename ?? '') !== '') throw unsupported('TABLESPACE');
  if ((statement.accessMethod ?? '') !== '') throw unsupported('USING of CREATE TABLE');
}

export function withOptions(elements: readonly Node[]): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const element of elements) {
    if (!('DefElem' in element)) continue;
    const { defname = '', defnamespace, arg } = element.DefElem;
    const name = defnamespace === undefined || defnamespace === '' ? defname : `${defnamespace}.${defname}`;
    if (options.has(name))
      throw new SqlError(SqlState.invalidParameterValue, `parameter "${name}" specified more than once`);
    options.set(name, defElemText(arg) ?? 'true');
  }
  return options;
}

/** A column as CREATE TABLE and ADD COLUMN define it, numbered after those before it. */
export function column(node: ColumnNode, before: readonly ColumnDef[], making: Making): ColumnDef {
  const { keys, table } = making;
  const name = truncated(node.colname ?? '');
  if (before.some((other) => other.name === name))
    throw new SqlError(SqlState.duplicateColumn, `column "${name}" specified more than once`);
  if (SYSTEM_COLUMNS.has(name))
    throw new SqlError(SqlState.duplicateColumn, `column name "${name}" conflicts with a system column name`);
  // DuckDB compares names without case, even quoted: two such columns would be one there.
  if (before.some((other) => other.name.toLowerCase() === name.toLowerCase()))
    throw unsupported(`column "${name}" beside a column that differs only in case`);
  if (name === '__unit' || name === '__position') throw unsupported(`column name "${name}"`);
  const serial = serialType(node.typeName);
  const type = serial === undefined ? columnType(node.typeName ?? {}, name) : { oid: serial, typmod: -1 };
  if ((node.compression ?? '') !== '') throw unsupported('COMPRESSION');
  if (node.collClause !== undefined) throw unsupported('COLLATE of a column');
  const ordinal = before.length + 1;
  let result: ColumnDef = { name, fieldId: ordinal, attnum: ordinal, type, notNull: false, default: null };
  if (serial !== undefined) {
    making.sequences.push({ fieldId: ordinal, isIdentity: false, options: { typeOid: serial } });
    result = { ...result, notNull: true, default: { kind: 'nextval', sequence: 0 } };
  }
  let saidNull = false;
  for (const item of node.constraints ?? []) {
    if (!('Constraint' in item)) continue;
    const constraint = item.Constraint;
    switch (constraint.contype) {
      case 'CONSTR_NULL':
        saidNull = true;
        break;
      case 'CONSTR_NOTNULL':
        result = { ...result, notNull: true };
        break;
      case 'CONSTR_DEFAULT':
        if (result.identity !== undefined) throw bothDefaultAndIdentity(result, table, constraint);
        if (isGeneratedHere(making, name)) throw both('default and generation expression', result, table, constraint);
        if (result.default !== null)
          throw new SqlError(
            SqlState.syntaxError,
            `multiple default values specified for column "${name}" of table "${table}"`,
            at(constraint.location),
          );
        result = { ...result, default: defaultOf(constraint.raw_expr!, result, making) };
        break;
      case 'CONSTR_IDENTITY':
        result = identityColumn(result, constraint, making);
        break;
      case 'CONSTR_GENERATED':
        making.generations.push({ column: name, expression: generationExpression(constraint, result, making) });
        break;
      case 'CONSTR_CHECK':
        making.checks.push(constraint);
        break;
      case 'CONSTR_PRIMARY':
        keys.add([name], constraint);
        break;
      case 'CONSTR_UNIQUE':
        making.uniques.push(writtenUnique(constraint, name));
        break;
      default:
        refuseConstraint(constraint);
    }
    if (saidNull && (result.notNull || constraint.contype === 'CONSTR_PRIMARY')) {
      throw new SqlError(
        SqlState.syntaxError,
        `conflicting NULL/NOT NULL declarations for column "${name}" of table "${table}"`,
        at(constraint.location),
      );
    }
  }
  return result;
}

function defaultOf(expression: Node, column: ColumnDef, { view, expressions, locates }: Making): ColumnDefault {
  const known = locates
    ? locatedDefault(expression, column, view)
    : unlocated(() => columnDefault(expression, column, view));
  if (known !== null) return known;
  const { position } = atNode(expression);
  expressions.push({ fieldId: column.fieldId, sql: Deparser.deparse(expression), position });
  return { kind: 'constant', sql: 'NULL', text: null };
}

/** CREATE TABLE says where a default is wrong. */
function locatedDefault(expression: Node, column: ColumnDef, view: CatalogView): ColumnDefault | null {
  try {
    return columnDefault(expression, column, view);
  } catch (error) {
    throw error instanceof SqlError ? error.with(atNode(expression)) : error;
  }
}

/** ALTER TABLE does not. */
export function unlocated<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    const { position: _, ...fields } = error.fields;
    throw new SqlError(error.code, error.message, fields);
  }
}

/** GENERATED … AS IDENTITY: the column's values come from a sequence of its own. @throws {SqlError} 22023, 42601 */
function identityColumn(column: ColumnDef, constraint: Constraint, making: Making): ColumnDef {
  const { table, sequences } = making;
  const where = at(constraint.location);
  if (column.identity !== undefined)
    throw new SqlError(
      SqlState.syntaxError,
      `multiple identity specifications for column "${column.name}" of table "${table}"`,
      where,
    );
  if (column.default !== null) throw bothDefaultAndIdentity(column, table, constraint);
  if (isGeneratedHere(making, column.name)) throw both('identity and generation expression', column, table, constraint);
  if (!INTEGERS.has(column.type.oid))
    throw new SqlError(SqlState.invalidParameterValue, 'identity column type must be smallint, integer, or bigint');
  const options = { typeOid: column.type.oid, ...sequenceOptions(constraint.options ?? []) };
  sequences.push({ fieldId: column.fieldId, isIdentity: true, options });
  const identity = constraint.generated_when === 'd' ? 'byDefault' : 'always';
  return { ...column, notNull: true, identity, default: { kind: 'nextval', sequence: 0 } };
}

const bothDefaultAndIdentity = (column: ColumnDef, table: string, constraint: Constraint): SqlError =>
  both('default and identity', column, table, constraint);

function both(what: string, column: ColumnDef, table: string, { location }: Constraint): SqlError {
  return new SqlError(
    SqlState.syntaxError,
    `both ${what} specified for column "${column.name}" of table "${table}"`,
    at(location),
  );
}

const isGeneratedHere = ({ generations }: Making, name: string): boolean =>
  generations.some(({ column }) => column === name);

/** @throws {SqlError} 42601, 0A000 */
function generationExpression(constraint: Constraint, column: ColumnDef, making: Making): Node {
  const { table } = making;
  if (isGeneratedHere(making, column.name))
    throw new SqlError(
      SqlState.syntaxError,
      `multiple generation clauses specified for column "${column.name}" of table "${table}"`,
      at(constraint.location),
    );
  if (column.identity !== undefined) throw both('identity and generation expression', column, table, constraint);
  if (column.default !== null) throw both('default and generation expression', column, table, constraint);
  if (constraint.generated_kind !== 's')
    throw unsupported('GENERATED ALWAYS AS (…) without STORED').with(at(constraint.location));
  return constraint.raw_expr!;
}

export const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['tableoid', 'ctid', 'xmin', 'xmax', 'cmin', 'cmax']);

function refuseConstraint(constraint: Constraint): void {
  const names: Readonly<Record<string, string>> = {
    CONSTR_FOREIGN: 'FOREIGN KEY',
    CONSTR_EXCLUSION: 'EXCLUDE',
    CONSTR_ATTR_DEFERRABLE: 'DEFERRABLE',
    CONSTR_ATTR_DEFERRED: 'INITIALLY DEFERRED',
  };
  const name = names[constraint.contype ?? ''];
  if (name === undefined) return;
  const hint = REFUSED_HINTS[constraint.contype ?? ''];
  throw unsupported(name).with({ ...at(constraint.location), ...(hint === undefined ? {} : { hint }) });
}

const REFUSED_HINTS: Readonly<Record<string, string>> = {
  CONSTR_FOREIGN: 'References between tables are not checked; leave the constraint out.',
  CONSTR_EXCLUSION: 'Only a primary key and UNIQUE exclude rows; leave the constraint out.',
};

/** The primary key, wherever it was said; at most one. */
export class KeyCollector {
  readonly #table: string;
  /** Of its columns. */
  names: readonly string[] | null = null;
  #keyName = '';
  /** The statement says its name. */
  isNamed = false;
  #location: number | undefined;

  constructor(table: string) {
    this.#table = table;
  }

  add(names: readonly string[], constraint: Constraint): void {
    if (this.names !== null)
      throw new SqlError(
        SqlState.invalidTableDefinition,
        `multiple primary keys for table "${this.#table}" are not allowed`,
        at(constraint.location),
      );
    if (constraint.deferrable === true) throw unsupported('DEFERRABLE');
    if ((constraint.including ?? []).length > 0) throw unsupported('INCLUDE of a primary key');
    if (constraint.without_overlaps === true) throw unsupported('WITHOUT OVERLAPS');
    this.names = names;
    this.isNamed = (constraint.conname ?? '') !== '';
    this.#keyName = truncated(constraint.conname ?? '') || `${this.#table.slice(0, NAME_BYTES_MAX - 5)}_pkey`;
    this.#location = constraint.location;
  }

  tableConstraint(constraint: Constraint): void {
    if (constraint.contype === 'CONSTR_PRIMARY') this.add(stringsOf(constraint.keys).map(truncated), constraint);
    else if (constraint.contype === 'CONSTR_NOTNULL') throw unsupported('NOT NULL as a table constraint');
    else refuseConstraint(constraint);
  }

  apply(columns: readonly ColumnDef[]): { key: readonly number[]; keyName: string; columns: readonly ColumnDef[] } {
    const { names } = this;
    if (names === null) return { key: [], keyName: '', columns };
    const key = names.map((name, index) => {
      const found = columns.find((one) => one.name === name);
      if (found === undefined)
        throw new SqlError(
          SqlState.undefinedColumn,
          `column "${name}" named in key does not exist`,
          at(this.#location),
        );
      if (names.indexOf(name) !== index)
        throw new SqlError(
          SqlState.duplicateColumn,
          `column "${name}" appears twice in primary key constraint`,
          at(this.#location),
        );
      if (FLOATS.has(found.type.oid) || !isHashable(found.type))
        throw unsupported(`a primary key column of type ${formatType(found.type)}`).with(at(this.#location));
      return found.fieldId;
    });
    return {
      key,
      keyName: this.#keyName,
      columns: columns.map((one) => (key.includes(one.fieldId) ? { ...one, notNull: true } : one)),
    };
  }
}
