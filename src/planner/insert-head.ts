/**
 * `INSERT INTO t (a, b) VALUES` without what follows: names by PostgreSQL's grammar, once for each text of it.
 *
 * A statement of many rows is read from its bytes (`insert-rows.ts`); only its head is parsed, followed by one NULL.
 * What is not a plain head (WITH, an alias, OVERRIDING, comments) is nobody's here: the whole text goes to the grammar.
 */
import type { InsertStmt, Node } from 'libpg-query';
import { SqlError } from '../errors.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { isSpaceByte, isWordByte, wordAt } from './insert-bytes.ts';
import { parseSql } from './parse.ts';
import type { CatalogView } from './plan.ts';
import { isSystemSchema } from './schema-names.ts';

export interface InsertHead {
  readonly schema: string | null;
  readonly table: string;
  /** Null: the table's columns in their order, as many as there are values. */
  readonly columns: readonly string[] | null;
}

const HEAD_BYTES_MAX = 8192;
const HEADS_MAX = 512;
/** By text, as latin1: bytes are what is compared. Null: not a plain head. */
const heads = new Map<string, InsertHead | null>();

/** Where `VALUES` ends in a text that begins as an INSERT does; -1: none that could be plain. */
export function headEnd(sql: Uint8Array): number {
  const end = Math.min(sql.length, HEAD_BYTES_MAX);
  let at = 0;
  while (at < end && isSpaceByte(sql[at]!)) at++;
  if (!wordAt(sql, at, end, 'insert')) return -1;
  let depth = 0;
  for (at += 6; at < end; at++) {
    const byte = sql[at]!;
    if (isWordByte(byte)) {
      if (depth === 0 && wordAt(sql, at, end, 'values')) return at + 6;
      while (at + 1 < end && isWordByte(sql[at + 1]!)) at++;
    } else if (byte === 34) {
      at = sql.indexOf(34, at + 1);
      if (at < 0) return -1;
    } else if (byte === 40) depth++;
    else if (byte === 41) depth--;
    else if (byte !== 44 && byte !== 46 && !isSpaceByte(byte)) return -1;
  }
  return -1;
}

/** The head in sql[0, end), or null. */
export function insertHead(sql: Uint8Array, end: number): InsertHead | null {
  const bytes = Buffer.from(sql.buffer, sql.byteOffset, end);
  const key = bytes.toString('latin1');
  const known = heads.get(key);
  if (known !== undefined) return known;
  if (heads.size >= HEADS_MAX) heads.clear();
  const head = parsedHead(bytes.toString());
  heads.set(key, head);
  return head;
}

function parsedHead(text: string): InsertHead | null {
  let statements: ReturnType<typeof parseSql>;
  try {
    statements = parseSql(`${text} (NULL)`);
  } catch (error) {
    if (error instanceof SqlError) return null;
    throw error;
  }
  const node = statements[0]?.node as Node | undefined;
  if (statements.length !== 1 || node === undefined || !('InsertStmt' in node)) return null;
  const insert: InsertStmt = node.InsertStmt;
  const { relation, cols, selectStmt, withClause, onConflictClause, override } = insert;
  const plain =
    withClause === undefined &&
    onConflictClause === undefined &&
    (override === undefined || override === 'OVERRIDING_NOT_SET') &&
    relation !== undefined &&
    relation.alias === undefined &&
    (relation.catalogname ?? '') === '' &&
    selectStmt !== undefined &&
    'SelectStmt' in selectStmt &&
    selectStmt.SelectStmt.valuesLists?.length === 1;
  if (!plain) return null;
  const columns: string[] = [];
  for (const col of cols ?? []) {
    if (!('ResTarget' in col) || (col.ResTarget.indirection ?? []).length > 0) return null;
    columns.push(col.ResTarget.name ?? '');
  }
  const schema = relation.schemaname ?? '';
  return {
    schema: schema === '' ? null : schema,
    table: relation.relname ?? '',
    columns: columns.length === 0 ? null : columns,
  };
}

const makesItsOwn = ({ identity, generated }: ColumnDef): boolean => identity === 'always' || generated !== undefined;

/** The table and the columns that values go to; null where the grammar's way has an error to say. */
export function headTarget(
  head: InsertHead,
  view: CatalogView,
): { readonly def: TableDef; readonly columns: readonly ColumnDef[] } | null {
  if (head.schema !== null && isSystemSchema(head.schema)) return null;
  const def = view.table(head.schema, head.table);
  if (def === undefined) return null;
  if (head.columns === null) return def.columns.some(makesItsOwn) ? null : { def, columns: def.columns };
  const columns: ColumnDef[] = [];
  for (const name of head.columns) {
    const column = def.columns.find((one) => one.name === name);
    if (column === undefined || columns.includes(column) || makesItsOwn(column)) return null;
    columns.push(column);
  }
  return { def, columns };
}
