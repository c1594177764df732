/**
 * A definition tried out: PostgreSQL carries it out in a transaction that is rolled back, and says what became of the views.
 * So dependencies, CASCADE, names of columns, OR REPLACE and all errors are its own; main then does the same.
 *
 * - T1 Nothing of it stays: the mirror changes by `mirror` alone.
 */
import { SqlError } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { OPEN_TEMPORARY_SCHEMA } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import type { TrialRequest, TrialResult } from './catalog-api.ts';
import { writeBind, writeExecute, writeParse, writeSync } from './frontend-messages.ts';
import { closedPosition, closedText, closeSql, openedText, openSql } from './mirror-temporary.ts';
import { viewOidsSql } from './mirror-views.ts';
import type { PgliteSession } from './pglite-session.ts';

/** All views of users, as ViewDefs (V1, V2 of view-def.ts). */
const VIEWS = `
  SELECT coalesce(json_agg(json_build_object(
    'oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'sql', rtrim(pg_get_viewdef(c.oid), ';'),
    'options', coalesce(to_json(c.reloptions), '[]'), 'comment', obj_description(c.oid, 'pg_class'),
    'columns', (SELECT json_agg(json_build_object('name', a.attname,
                  'type', json_build_object('oid', a.atttypid::int8, 'typmod', a.atttypmod),
                  'comment', col_description(c.oid, a.attnum)) ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'dependsOn', (SELECT coalesce(json_agg(json_build_object('oid', s.oid, 'columns', s.columns) ORDER BY s.oid), '[]')
                  FROM (SELECT d.refobjid::int8 AS oid, json_agg(DISTINCT d.refobjsubid) AS columns
                        FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                        JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
                        JOIN pg_namespace m ON m.oid = t.relnamespace
                        WHERE r.ev_class = c.oid AND t.oid <> c.oid
                        AND m.nspname NOT IN ('pg_catalog', 'information_schema', 'arka')
                        GROUP BY d.refobjid) s)) ORDER BY c.oid), '[]')::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'v' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'arka')`;

const KNOWN = `SELECT oid::int8 FROM pg_class WHERE relkind = 'v' AND oid >= 16384`;

/** PostgreSQL prints marks of CYCLE as `'Y'::text`, and does not take that: there a constant has its type in front. */
function readable(sql: string): string {
  if (!sql.includes(' CYCLE ')) return sql;
  return sql.replaceAll(
    /( TO )('(?:[^']|'')*')::([a-z ]+)( DEFAULT )('(?:[^']|'')*')::([a-z ]+)( USING )/g,
    '$1$3 $2$4$6 $5$7',
  );
}

/** @throws {SqlError} PostgreSQL's own */
export async function tryDefinition(session: PgliteSession, request: TrialRequest): Promise<TrialResult> {
  const { context, oid, sql, temporary } = request;
  try {
    await session.run(`BEGIN; SET LOCAL client_min_messages = notice; ${viewOidsSql(oid)}`);
    const known = (await asked(session, KNOWN)).texts.map(Number);
    if (temporary !== null) await session.run(opening(temporary, context.searchPath));
    const { notices } = await asked(session, temporary === null ? sql : openedText(sql, temporary));
    if (temporary !== null) await session.run(closeSql(temporary));
    await session.run(`SET LOCAL search_path = ''`);
    const { texts } = await asked(session, VIEWS);
    const said = notices.map(noticeOf);
    return {
      views: (JSON.parse(texts[0]!) as ViewDef[]).map((view) => ({ ...view, sql: readable(view.sql) })),
      known,
      notices: temporary === null ? said : said.map((notice) => withName(notice, temporary)),
    };
  } catch (error) {
    throw temporary !== null && error instanceof SqlError ? closed(error, sql, temporary) : error;
  } finally {
    await session.run('ROLLBACK');
  }
}

/** The schema under its other name, in the path as well. */
function opening(temporary: string, searchPath: readonly string[]): string {
  const path = searchPath.map((name) => quoteIdentifier(name === temporary ? OPEN_TEMPORARY_SCHEMA : name));
  return `${openSql(temporary)}; SET LOCAL search_path = ${path.length === 0 ? "''" : path.join(', ')}`;
}

function withName<T extends { readonly message: string; readonly detail?: string }>(said: T, schema: string): T {
  const { detail, message } = said;
  const more = detail === undefined ? {} : { detail: closedText(detail, schema) };
  return { ...said, message: closedText(message, schema), ...more };
}

function closed({ code, fields, message }: SqlError, sql: string, schema: string): SqlError {
  const { message: named, ...more } = withName({ ...fields, message }, schema);
  const { position } = fields;
  return new SqlError(
    code,
    named,
    position === undefined ? more : { ...more, position: closedPosition(sql, schema, position) },
  );
}

function noticeOf({ code, fields: { detail }, message }: SqlError): TrialResult['notices'][number] {
  return detail === undefined ? { code, message } : { code, message, detail };
}

async function asked(
  session: PgliteSession,
  sql: string,
): Promise<{ readonly texts: readonly string[]; readonly notices: readonly SqlError[] }> {
  const { bytes, answer } = await session.exchange((out) => {
    writeParse(out, sql, []);
    writeBind(out, { formats: [], values: [], resultFormats: [] });
    writeExecute(out);
    writeSync(out);
  });
  if (answer.error !== null) throw answer.error;
  return { texts: firstColumn(bytes, answer.runs), notices: answer.notices };
}

/** Of DataRow messages with a text in it. */
function firstColumn(bytes: Uint8Array, runs: readonly number[]): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const texts: string[] = [];
  for (let i = 0; i < runs.length; i += 2)
    for (let at = runs[i]!; at < runs[i + 1]!; at += 1 + view.getInt32(at + 1))
      texts.push(
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at + 11, at + 11 + view.getInt32(at + 7))),
      );
  return texts;
}
