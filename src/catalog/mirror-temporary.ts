/**
 * What is temporary, in PGlite: permanent there, in a schema of the session's name. PostgreSQL makes nothing in a schema of temporary
 * tables that is not its own session's, so the schema has another name while something is made in it; and it would not read such a
 * table, so `relpersistence` is what it should be only while a client's statement asks for it (relation-facts.ts).
 */
import { quoteIdentifier } from '../sql-text.ts';
import { isTemporarySchema, OPEN_TEMPORARY_SCHEMA } from '../table-def.ts';

const OPEN = quoteIdentifier(OPEN_TEMPORARY_SCHEMA);

/** SQL that makes `def`; what it takes of its schema's other things must be of `opened`, too. */
export function madeIn<T extends { readonly schema: string }>(
  def: T,
  sqlOf: (def: T, opened: Opened) => string,
): string {
  if (!isTemporarySchema(def.schema)) return sqlOf(def, (other) => other);
  const opened: Opened = (other) => (other.schema === def.schema ? { ...other, schema: OPEN_TEMPORARY_SCHEMA } : other);
  return [openSql(def.schema), sqlOf(opened(def), opened), closeSql(def.schema)].join(';\n');
}

export const openSql = (schema: string): string => `ALTER SCHEMA ${quoteIdentifier(schema)} RENAME TO ${OPEN}`;
export const closeSql = (schema: string): string => `ALTER SCHEMA ${OPEN} RENAME TO ${quoteIdentifier(schema)}`;

/** Names of the schema in a text, strings that are cast to regclass, and what may look like either. */
const tokensOf = (schema: string): RegExp =>
  new RegExp(
    String.raw`'(?:''|[^'])*'(\s*::\s*(?:pg_catalog\s*\.\s*)?regclass\b)?|"${schema}"(?=\s*\.)|"(?:""|[^"])*"|\b${schema}(?=\s*\.)`,
    'g',
  );

function openedToken(token: string, regclass: string | undefined, schema: string): string {
  if (regclass !== undefined) return token.replace(new RegExp(String.raw`^'"?${schema}"?\.`), `'${OPEN}.`);
  return token === schema || token === `"${schema}"` ? OPEN : token;
}

/** A statement's text, or a view's, as it is while the schema is open. */
export function openedText(text: string, schema: string): string {
  if (!isTemporarySchema(schema)) return text;
  return text.replace(tokensOf(schema), (token, regclass: string | undefined) => openedToken(token, regclass, schema));
}

/** Where a character of the text while it is open is in `text`; both count from 1. */
export function closedPosition(text: string, schema: string, position: number): number {
  let longer = 0;
  for (const { 0: token, 1: regclass, index } of text.matchAll(tokensOf(schema))) {
    if ([...text.slice(0, index)].length + longer + 1 >= position) break;
    longer += openedToken(token, regclass, schema).length - token.length;
  }
  return position - longer;
}

/** What PostgreSQL says meanwhile, with the schema's name. */
export const closedText = (text: string, schema: string): string =>
  text.replaceAll(OPEN, schema).replaceAll(OPEN_TEMPORARY_SCHEMA, schema);

export type Opened = <T extends { readonly schema: string }>(other: T) => T;

/** For a statement that asks for `relpersistence`. */
export const PERSISTENCE_SQL = `UPDATE pg_catalog.pg_class c SET relpersistence = 't' FROM pg_catalog.pg_namespace n
  WHERE n.oid = c.relnamespace AND n.nspname LIKE 'pg\\_temp\\_%' AND c.relkind IN ('r', 'i', 'S', 'v')`;
