/** CREATE TABLE … (LIKE source INCLUDING …): the columns of another table as they are now; the tables have nothing in common afterwards. */
import type { Constraint, CreateStmt, Node, TableLikeClause } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import type { SequenceDef, SequenceOptions } from '../sequence-def.ts';
import type { ColumnDef, IndexShape, TableDef } from '../table-def.ts';
import { expressionOf } from './altered-checks.ts';
import { at } from './ast.ts';
import type { Making } from './create-table.ts';
import { parseSql } from './parse.ts';
import { findTable, findView, isCatalogRelation, undefinedTable } from './schema-names.ts';

/** PostgreSQL's bits of what INCLUDING names. */
const INCLUDING = { comments: 1, constraints: 4, defaults: 8, generated: 16, identity: 32, indexes: 64 } as const;

/**
 * The columns, numbered after those before them; checks and sequences go to `making`.
 * @throws {SqlError} 42P01, 42701; 0A000 for what cannot be taken over
 */
export function columnsLike(
  clause: TableLikeClause,
  before: readonly ColumnDef[],
  making: Making,
): {
  readonly columns: readonly ColumnDef[];
  readonly source: TableDef;
  readonly key: readonly string[];
  readonly indexes: readonly IndexShape[];
} {
  const source = sourceOf(clause, making);
  const wants = (what: keyof typeof INCLUDING): boolean => ((clause.options ?? 0) & INCLUDING[what]) !== 0;
  const columns = source.columns.map((one, index) => {
    if (before.some((other) => other.name === one.name))
      throw new SqlError(SqlState.duplicateColumn, `column "${one.name}" specified more than once`);
    const ordinal = before.length + index + 1;
    const { name, type, notNull, comment } = one;
    const plain: ColumnDef = { name, fieldId: ordinal, attnum: ordinal, type, notNull, default: null };
    const made = comment !== undefined && wants('comments') ? { ...plain, comment } : plain;
    if (one.identity !== undefined) return wants('identity') ? withIdentity(made, one, source, making) : made;
    if (one.generated !== undefined && wants('generated'))
      making.generations.push({ column: name, expression: expressionOf(one.generated.sql) });
    if (one.default === null || !wants('defaults')) return made;
    if (one.default.kind === 'nextval')
      throw notSupported(
        `LIKE … INCLUDING DEFAULTS of column "${name}", whose default is a sequence of its own table`,
        {
          hint: 'Leave the default out, or make the column an identity column.',
        },
      );
    return { ...made, default: one.default };
  });
  if (wants('constraints')) making.checks.push(...(source.checks ?? []).map(({ name, sql }) => checkNode(name, sql)));
  if (!wants('indexes')) return { columns, source, key: [], indexes: [] };
  const newId = (fieldId: number): number =>
    columns[source.columns.findIndex((each) => each.fieldId === fieldId)]!.fieldId;
  const indexes = source.indexes.map(({ method, columns: key, included, options, unique }) => ({
    method,
    columns: key.map((each) => ({ ...each, fieldId: newId(each.fieldId) })),
    included: included.map(newId),
    options,
    ...(unique === undefined ? {} : { unique }),
  }));
  return { columns, source, key: keyOf(source), indexes };
}

function sourceOf({ relation = {} }: TableLikeClause, { view }: Making): TableDef {
  const found = findTable(relation, view);
  if (found !== undefined) return found;
  if (findView(relation, view) !== undefined || isCatalogRelation(relation, view))
    throw notSupported('LIKE of a view', {
      ...at(relation.location),
      hint: 'CREATE TABLE … AS SELECT … WITH NO DATA makes a table with the columns of a query.',
    });
  throw undefinedTable(relation);
}

/** Names of columns; none without INCLUDING INDEXES, and of a table without a key. */
function keyOf(source: TableDef): readonly string[] {
  return source.key.map((id) => source.columns.find(({ fieldId }) => fieldId === id)!.name);
}

/** Its sequence is a new one, with the options of the other. */
function withIdentity(column: ColumnDef, from: ColumnDef, source: TableDef, making: Making): ColumnDef {
  const sequence = making.view.ownedSequence?.(source.uuid, from.fieldId);
  const options = sequence === undefined ? { typeOid: from.type.oid } : optionsOf(sequence);
  making.sequences.push({ fieldId: column.fieldId, isIdentity: true, options });
  return { ...column, notNull: true, identity: from.identity!, default: { kind: 'nextval', sequence: 0 } };
}

function optionsOf({ typeOid, start, increment, min, max, cache, cycle }: SequenceDef): SequenceOptions {
  return {
    typeOid,
    start: BigInt(start),
    increment: BigInt(increment),
    min: BigInt(min),
    max: BigInt(max),
    cache,
    cycle,
  };
}

/** The constraint with its name, as if it had been written here. */
function checkNode(name: string, sql: string): Constraint {
  const [parsed] = parseSql(`CREATE TABLE t (CHECK (${sql}))`);
  const { tableElts = [] } = (parsed!.node as { CreateStmt: CreateStmt }).CreateStmt;
  const [element] = tableElts as readonly Extract<Node, { Constraint: unknown }>[];
  return { ...element!.Constraint, conname: name };
}
