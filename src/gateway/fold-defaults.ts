/**
 * Defaults that are expressions of constants: PostgreSQL itself says what they are, once, when the table is made. One whose
 * value depends on when it is asked for is refused: rows would have to ask PostgreSQL one by one.
 */
import { SqlError, SqlState } from '../errors.ts';
import type { Catalog } from '../catalog/catalog-client.ts';
import { unfoldedDefault } from '../planner/column-default.ts';
import { checkAssignable } from '../planner/assignments.ts';
import type { DefaultExpression, TableDraft } from '../planner/plan.ts';
import type { ColumnDef } from '../table-def.ts';
import { formatType } from '../types/format-type.ts';
import { storedStyles } from '../types/output-styles.ts';
import { decodeText } from '../types/utf8.ts';
import { fieldsOf } from './column-calls.ts';
import { catalogContext } from './query.ts';

export interface FoldingEnvironment {
  readonly catalog: Catalog;
  readonly searchPath: readonly string[];
  readonly timeZone: string;
  /** Whose rights count; null: a superuser's. */
  readonly role: string | null;
}

/** The draft with the values of its defaults. @throws {SqlError} PostgreSQL's own for the expression; 0A000 */
export async function foldDefaults(
  environment: FoldingEnvironment,
  draft: TableDraft,
  expressions: readonly DefaultExpression[],
): Promise<TableDraft> {
  const columns = [...draft.columns];
  for (const expression of expressions) {
    const index = columns.findIndex((column) => column.fieldId === expression.fieldId);
    const column = columns[index]!;
    const text = await folded(environment, column, expression).catch((error: unknown) => {
      throw atExpression(error, expression);
    });
    columns[index] = { ...column, default: { kind: 'constant', sql: expression.sql, text } };
  }
  return { ...draft, columns };
}

async function folded(
  environment: FoldingEnvironment,
  column: ColumnDef,
  expression: DefaultExpression,
): Promise<string | null> {
  const { catalog } = environment;
  const context = catalogContext({ ...environment, timeZone: storedStyles(environment.timeZone) });
  const { columns } = await catalog.describe({ sql: `SELECT ${expression.sql}`, parameterOids: [], context });
  refuseOther(columns?.[0]?.typeOid ?? 0, column);
  const cast = `CAST((${expression.sql}) AS ${formatType(column.type)})`;
  const rowsOf = async (sql: string): Promise<(string | null)[]> => {
    const none = { parameterOids: [], values: [], formats: [], resultFormats: [], views: [] };
    const { messages } = await catalog.query({ sql, context, ...none });
    const view = new DataView(messages.buffer, messages.byteOffset, messages.byteLength);
    const rows: (string | null)[] = [];
    for (let at = 0; at < messages.length; at += 1 + view.getInt32(at + 1)) {
      const [field] = fieldsOf(messages, view, at);
      rows.push(field === null || field === undefined ? null : decodeText(field, 0, field.length));
    }
    return rows;
  };
  const plan = await rowsOf(`EXPLAIN (VERBOSE, COSTS OFF) SELECT ${cast}`);
  const output = plan.map((line) => /^\s*Output: (.*)$/s.exec(line ?? '')?.[1]).find((line) => line !== undefined);
  if (output === undefined || !CONSTANT.test(output)) throw unfoldedDefault(column, expression.position);
  const [text] = await rowsOf(`SELECT (${cast})::text`);
  return text ?? null;
}

/** PostgreSQL was given the expression alone: a position of its own means the whole of it. */
function atExpression(error: unknown, { position }: DefaultExpression): unknown {
  if (!(error instanceof SqlError) || error.fields.position === undefined || position === undefined) return error;
  return new SqlError(error.code, error.message, { ...error.fields, position });
}

/** What the planner of PostgreSQL makes of an expression that it could work out. */
const CONSTANT =
  /^(?:NULL|true|false|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|E?'(?:[^']|'')*')(?:::[a-z][a-z0-9 ]*(?:\(\d+(?:,\d+)?\))?[a-z ]*(?:\[\])?)?$/is;

/** 42804 as PostgreSQL says it of a default. */
function refuseOther(oid: number, column: ColumnDef): void {
  try {
    checkAssignable(oid, column);
  } catch (error) {
    if (!(error instanceof SqlError) || error.code !== SqlState.datatypeMismatch) throw error;
    throw new SqlError(error.code, error.message.replace('but expression', 'but default expression'), error.fields);
  }
}
