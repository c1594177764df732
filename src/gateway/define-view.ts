/**
 * Views made, changed and dropped, and tables that views are above: PostgreSQL tries the statement (catalog/view-trial.ts), and
 * what it made of the views is the transaction's. It keeps the order: first the trial, whose errors leave nothing behind.
 *
 * - V1 Views and tables are in the catalog at once, or not at all: they are parts of one transaction's definitions.
 * - V2 Names that come or go are held alone, and what a new text reads is held, until the transaction ends. Where another
 *   session was faster meanwhile, it is tried again.
 */
import { storedStyles } from '../types/output-styles.ts';
import { along } from '../ingest/relations.ts';
import type { Statement } from '../planner/plan.ts';
import { moved, notSupported } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import { isTemporarySchema } from '../table-def.ts';
import { viewKey, viewsOn, type ViewDef } from '../view-def.ts';
import type { DefineEnvironment } from './define.ts';
import { ofName } from './schema.ts';

/** What its statement is about has views above it, is one or stands beside all definitions: PostgreSQL has a say. */
export function concernsViews(
  statement: Statement,
  { relations, searchPath }: Pick<DefineEnvironment, 'relations' | 'searchPath'>,
): boolean {
  if (statement.kind === 'defineView' || statement.kind === 'commentOnShared') return true;
  const { views } = relations;
  const isBelow = (schema: string | null, name: string): boolean => {
    const found = along(
      searchPath,
      schema,
      (each) => (relations.table(each, name) ?? relations.sequence(each, name))?.def,
    );
    return found !== undefined && viewsOn(views, [found.oid]).length > 0;
  };
  switch (statement.kind) {
    case 'dropTable':
    case 'dropSequence':
      return statement.names.some(({ schema, name }) => isBelow(schema, name));
    case 'alterTable':
      return (
        statement.commands.some(({ kind }) => kind === 'addIdentity') ||
        isBelow(statement.table.schema, statement.table.name)
      );
    case 'renameTable':
      return isBelow(statement.table.schema, statement.table.name);
    case 'dropSchema':
    case 'renameSchema':
      return [...views].length > 0;
    default:
      return false;
  }
}

/** CREATE, DROP and ALTER VIEW. @throws {SqlError} PostgreSQL's own */
export async function defineView(
  environment: DefineEnvironment,
  { sql, tag, temporary }: Extract<Statement, { kind: 'defineView' }>,
): Promise<void> {
  if (temporary === undefined) {
    // PostgreSQL makes what is new in the first schema of the path, and a view that lasts reads nothing temporary.
    const searchPath = environment.searchPath.filter((each) => tag !== 'CREATE VIEW' || !isTemporarySchema(each));
    await tryViews({ ...environment, searchPath }, sql);
    return;
  }
  if (temporary.byItself) environment.notice('00000', `view "${temporary.name}" will be a temporary view`);
  try {
    await tryViews(environment, sql);
  } catch (error) {
    throw moved(error, temporary.longer === null ? null : -temporary.longer);
  }
}

/** The session's schema, unless PostgreSQL is to refuse that something goes there. */
const temporaryOf = (searchPath: readonly string[], sql: string): string | null =>
  /\bset\s+schema\b/i.test(sql) ? null : (searchPath.find(isTemporarySchema) ?? null);

/** Has it tried, and makes the views what they are after it. @throws {SqlError} PostgreSQL's own */
export async function tryViews(environment: DefineEnvironment, sql: string): Promise<void> {
  const { catalogNow, changes, database, notice, patience, searchPath, timeZone } = environment;
  const oid = database.takeOid();
  for (;;) {
    const { generation } = database;
    const temporary = temporaryOf(searchPath, sql);
    const trial = await catalogNow().trial({
      sql,
      oid,
      context: { searchPath, timeZone: storedStyles(timeZone) },
      temporary,
    });
    // A view that PostgreSQL could not make says nothing by not being there.
    const lacked = [...changes.views].filter((view) => !trial.known.includes(view.oid));
    const views = [...trial.views, ...lacked];
    const { notices } = trial;
    const { names, made } = differences([...changes.views], views);
    await changes.lock(
      names.map(({ schema, name }) => ofName(schema, name)),
      patience,
    );
    refuseShortLived(environment, made);
    await hold(environment, made);
    if (database.generation !== generation) continue;
    changes.setViews(views);
    for (const { code, message, detail } of notices) notice(code, message, detail);
    return;
  }
}

/** Names that views have on one side only, and views that are new or have another text. */
function differences(
  before: readonly ViewDef[],
  after: readonly ViewDef[],
): { readonly names: readonly ViewDef[]; readonly made: readonly ViewDef[] } {
  const [old, now] = [before, after].map((views) => new Map(views.map((view) => [viewKey(view), view])));
  const made = after.filter((view) => JSON.stringify(old!.get(viewKey(view))) !== JSON.stringify(view));
  return { names: [...before.filter((view) => !now!.has(viewKey(view))), ...made], made };
}

/** What lasts reads nothing that goes with its session: `planner/temporary-view.ts` has made such a view temporary. */
function refuseShortLived({ relations }: DefineEnvironment, made: readonly ViewDef[]): void {
  const lasting = made.filter(({ schema }) => !isTemporarySchema(schema));
  if (lasting.length === 0) return;
  const defs = [
    ...[...relations.tables].map((table) => relations.definition(table)),
    ...[...relations.sequences].map((sequence) => relations.sequenceDefinition(sequence)),
    ...relations.views,
  ];
  const shortLived = new Set(defs.filter(({ schema }) => isTemporarySchema(schema)).map(({ oid }) => oid));
  for (const { dependsOn, name } of lasting)
    if (dependsOn.some(({ oid }) => shortLived.has(oid)))
      throw notSupported(`view "${name}", which lasts, of something temporary`, {
        hint: 'CREATE TEMP VIEW makes one.',
      });
}

/** The tables that they read, and their schemas. */
async function hold(
  { database, hold: own, patience, relations }: DefineEnvironment,
  views: readonly ViewDef[],
): Promise<void> {
  const oids = new Set(views.flatMap(({ dependsOn }) => dependsOn.map(({ oid }) => oid)));
  const tables = [...relations.tables].filter((table) => oids.has(table.def.oid)).map(({ def }) => def.uuid);
  const schemas = new Set(views.map(({ schema }) => `schema ${schema}`));
  const keys = [...schemas, ...tables];
  for (let wait; (wait = database.locks.share(own, keys, patience)) !== null;) await wait;
}

export const qualified = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
