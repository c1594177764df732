/**
 * A definition tried out: PostgreSQL carries it out in a transaction that is rolled back, and says what became of the views.
 * So dependencies, CASCADE, names of columns, OR REPLACE and all errors are its own; main then does the same.
 *
 * - T1 Nothing of it stays: the mirror changes by `mirror` alone.
 */
import type { SqlError } from '../errors.ts';
import type { ViewDef } from '../view-def.ts';
import type { TrialRequest, TrialResult } from './catalog-api.ts';
import { writeBind, writeExecute, writeParse, writeSync } from './frontend-messages.ts';
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

/** @throws {SqlError} PostgreSQL's own */
export async function tryDefinition(session: PgliteSession, { sql, oid }: TrialRequest): Promise<TrialResult> {
  try {
    await session.run(`BEGIN; SET LOCAL client_min_messages = notice; ${viewOidsSql(oid)}`);
    const { notices } = await asked(session, sql);
    await session.run(`SET LOCAL search_path = ''`);
    const { texts } = await asked(session, VIEWS);
    return { views: JSON.parse(texts[0]!) as ViewDef[], notices: notices.map(noticeOf) };
  } finally {
    await session.run('ROLLBACK');
  }
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
