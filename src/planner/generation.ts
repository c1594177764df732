/**
 * GENERATED ALWAYS AS (…) STORED: an expression over the other columns of the row, in the language of CHECK (`check.ts`). Rows are
 * given its value when they are written (`ingest/generated-columns.ts`).
 */
import type { ColumnRef, Node } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { partsOf, type GenerationDef, type Operand } from '../check-def.ts';
import { notSupported, SqlError, SqlState, type SqlErrorFields } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { putText } from '../types/parse-text-value.ts';
import { elementOf, Oid, physicalOf } from '../types/pg-type.ts';
import { textInput } from '../types/text-input.ts';
import { VectorBuilder } from '../types/vector-builder.ts';
import { checkAssignable } from './assignments.ts';
import { expressionOf, renamedColumns } from './altered-checks.ts';
import { atNode, constantKind, constantText, stringOf, walk } from './ast.ts';
import { columnsRead, rowOperand } from './check.ts';
import { NUMBERS } from '../types/type-kinds.ts';

/** A column whose expression waits for the columns of its table. */
export interface Generation {
  readonly column: string;
  readonly expression: Node;
}

/** @throws {SqlError} 42703, 42804, 42P17, 0A000 for what is not worked out here */
export function generationOf(
  expression: Node,
  column: ColumnDef,
  columns: readonly ColumnDef[],
  table: string,
): GenerationDef {
  refuseParts(expression, column, columns);
  const of = operandOf(expression, column, columns, table);
  const parts = [...partsOf(of)];
  if (parts.some(({ kind }) => kind === 'now'))
    throw new SqlError(SqlState.invalidObjectDefinition, 'generation expression is not immutable');
  if (parts.some(isOfSession))
    throw notSupported(`GENERATED with a constant that the session reads, for column "${column.name}",`);
  checkType(of, column);
  if (!isAssigned(of, column))
    throw notSupported(`GENERATED with a value of another type for column "${column.name}"`, {
      hint: "Cast it to the column's type.",
    });
  return { sql: Deparser.deparse(expression), of };
}

function operandOf(expression: Node, column: ColumnDef, columns: readonly ColumnDef[], table: string): Operand {
  const kind = constantKind(expression);
  // an untyped constant has the type of the column
  if (kind === 'string' || kind === 'null') return constantOf(constantText(expression), column, expression);
  try {
    return rowOperand(expression, columns, table);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    // the language is that of CHECK
    throw new SqlError(error.code, error.message.replace(/^CHECK with/, 'GENERATED with'), error.fields);
  }
}

/** @throws {SqlError} what the type's input function says of it */
function constantOf(text: string | null, { type }: ColumnDef, node: Node): Operand {
  try {
    if (text !== null) putText(textInput(type), text, new VectorBuilder(physicalOf(type)));
  } catch (error) {
    throw error instanceof SqlError ? error.with(atNode(node)) : error;
  }
  return { kind: 'constant', text, type };
}

/** @throws {SqlError} 42804 */
function checkType(of: Operand, column: ColumnDef): void {
  try {
    checkAssignable(of.type.oid, column);
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    throw new SqlError(error.code, error.message.replace('but expression', 'but default expression'), error.fields);
  }
}

/** @throws {SqlError} as PostgreSQL refuses them there */
function refuseParts(expression: Node, column: ColumnDef, columns: readonly ColumnDef[]): void {
  walk([expression], (tag, body) => {
    if (tag === 'SubLink')
      throw new SqlError(SqlState.featureNotSupported, 'cannot use subquery in column generation expression', {
        ...atNode({ SubLink: body } as unknown as Node),
      });
    if (tag !== 'ColumnRef') return;
    const node = { ColumnRef: body } as { ColumnRef: ColumnRef };
    const name = stringOf((node.ColumnRef.fields ?? []).at(-1));
    const read = columns.find((each) => each.name === name);
    if (name === column.name || read?.generated !== undefined) throw nested(name, atNode(node));
  });
}

function nested(name: string, fields: SqlErrorFields): SqlError {
  return new SqlError(
    SqlState.invalidObjectDefinition,
    `cannot use generated column "${name}" in column generation expression`,
    { detail: 'A generated column cannot reference another generated column.', ...fields },
  );
}

const OF_SESSION: ReadonlySet<number> = new Set([Oid.timestamptz, Oid.timetz, Oid.interval]);
const DAYS: ReadonlySet<number> = new Set([Oid.date, Oid.timestamp]);

/** What is read anew for each row, and would be another value in another session. */
function isOfSession(operand: Operand): boolean {
  if (operand.kind !== 'constant' || operand.text === null) return false;
  const { oid } = operand.type;
  return OF_SESSION.has(oid) || (DAYS.has(oid) && !/^\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?)?$/.test(operand.text));
}

const TEXTS: ReadonlySet<number> = new Set([Oid.text, Oid.varchar, Oid.bpchar, Oid.name]);
/** Their texts, without the session's say. */
const SHOWN: ReadonlySet<number> = new Set([...NUMBERS, ...TEXTS, Oid.bool, Oid.uuid, Oid.jsonb]);

/** Whether the writer assigns values of the type to the column (`ingest/generated-columns.ts`). */
function isAssigned({ type: from }: Operand, { type }: ColumnDef): boolean {
  if (elementOf(type) !== undefined || elementOf(from) !== undefined || from.oid === Oid.json) return false;
  if (from.oid === type.oid) return from.oid !== Oid.bytea;
  if (NUMBERS.has(type.oid)) return NUMBERS.has(from.oid);
  return TEXTS.has(type.oid) && SHOWN.has(from.oid);
}

/** The columns of a new table with what makes their values. @throws {SqlError} */
export function withGenerations(
  columns: readonly ColumnDef[],
  generations: readonly Generation[],
  table: string,
): readonly ColumnDef[] {
  // one of them is known by having any expression while the others are looked at
  const marked = columns.map((column) =>
    generations.some((each) => each.column === column.name) ? { ...column, generated: PENDING } : column,
  );
  return columns.map((column) => {
    const generation = generations.find((each) => each.column === column.name);
    if (generation === undefined) return column;
    return { ...column, generated: generationOf(generation.expression, column, marked, table) };
  });
}

const PENDING: GenerationDef = {
  sql: '',
  of: { kind: 'constant', text: null, type: { oid: Oid.unknown, typmod: -1 } },
};

/** The columns of an altered table, whose expressions have the new names of those they read. */
export function alteredGenerations(before: TableDef, after: TableDef): readonly ColumnDef[] {
  return after.columns.map((column) => {
    if (column.generated === undefined || !before.columns.some(({ fieldId }) => fieldId === column.fieldId))
      return column;
    const sql = renamedColumns(column.generated.sql, before, after);
    return sql === null ? column : { ...column, generated: { ...column.generated, sql } };
  });
}

/** The generated columns of a table that read a column. */
export function generatedFrom({ columns }: TableDef, name: string): readonly ColumnDef[] {
  return columns.filter(
    ({ generated }) => generated !== undefined && columnsRead(expressionOf(generated.sql)).includes(name),
  );
}
