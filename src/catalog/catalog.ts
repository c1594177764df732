/**
 * The catalog API over one PGlite session.
 *
 * - K1 Requests take turns: the session inside is one, so each request's batches follow one another undisturbed.
 * - K2 A client's statement runs between BEGIN and ROLLBACK: settings, rows and definitions are afterwards as before.
 * - K3 A failed table does not keep the others from being mirrored; the first failure is thrown when all were tried.
 */
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import type { SequenceDef, StoredSequence } from '../sequence-def.ts';
import type { TableDef } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';
import { invariant, notSupported, SqlError, SqlState } from '../errors.ts';
import { copyRows } from './backend-messages.ts';
import type { CatalogApi, CatalogContents, CatalogQuery, CatalogResult, Description } from './catalog-api.ts';
import { writeBind, writeDescribe, writeExecute, writeParse, writeSync } from './frontend-messages.ts';
import {
  createSchemaSql,
  createTableSql,
  dropTableSql,
  mirrorSteps,
  nothingMirrored,
  type Mirrored,
} from './mirror.ts';
import { createSequenceSql, dropSequenceSql } from './mirror-sequences.ts';
import { sharedCommentSql, type SharedComment } from './mirror-comments.ts';
import { copyRowsIn, forgetRows } from './row-copies.ts';
import { madeIn, openedText } from './mirror-temporary.ts';
import { createViewSql, dropViewSql } from './mirror-views.ts';
import { rightsSql, rolesSql } from './mirror-roles.ts';
import { fromJson } from '../rights/roles.ts';
import { openSession, type PgliteSession } from './pglite-session.ts';
import { factsSql } from './relation-facts.ts';
import { stubJson, stubSetting, stubView } from './stub-views.ts';
import { tryDefinition } from './view-trial.ts';

/** Definitions that go into one Query message. */
const PER_BATCH = 25;

export function createCatalog(imagePath: URL | string): CatalogApi {
  const mirrored = nothingMirrored();
  let session: PgliteSession | null = null;
  let lane: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: (session: PgliteSession) => Promise<T>): Promise<T> {
    const turn = lane.then(() => {
      if (session === null) throw new SqlError(SqlState.cannotConnectNow, 'the catalog is not open');
      return work(session);
    });
    lane = turn.catch(() => undefined);
    return turn;
  }

  return {
    async open(contents) {
      invariant(session === null, 'a catalog is opened once');
      session = await openSession(imagePath);
      await inTurn((held) => mirror(held, mirrored, contents));
    },
    mirror: (contents) => inTurn((held) => mirror(held, mirrored, contents)),
    describe: (request) =>
      inTurn(async (held) => {
        await held.enter(request.context);
        return describe(held, request.sql, request.parameterOids);
      }),
    query: (request) =>
      inTurn(async (held) => {
        await held.enter(request.context);
        return query(held, request);
      }),
    trial: (request) =>
      inTurn(async (held) => {
        await held.enter(request.context);
        return tryDefinition(held, request);
      }),
    async shutdown() {
      if (session === null) return;
      await inTurn((held) => held.close());
      session = null;
    },
  };
}

async function describe(session: PgliteSession, sql: string, parameterOids: readonly number[]): Promise<Description> {
  const { answer } = await session.exchange((out) => {
    writeParse(out, sql, parameterOids);
    writeDescribe(out, 'statement');
    writeSync(out);
  });
  if (answer.error !== null) throw answer.error;
  return { parameterOids: answer.parameterOids, columns: answer.columns };
}

async function query(session: PgliteSession, request: CatalogQuery): Promise<CatalogResult> {
  // COPY FROM STDIN would wait for data that never comes.
  if (/^\s*copy\b/i.test(request.sql)) throw notSupported('COPY of a system table');
  const marks = (request.sequences ?? []).map(setSequence);
  try {
    const { role } = request.context;
    const as = role === undefined ? [] : [`SET LOCAL ROLE ${quoteIdentifier(role)}`];
    const facts = request.facts === undefined ? [] : factsSql(request.facts);
    const begin = ['BEGIN', ...request.views.map(fillView), ...marks, ...facts];
    if (request.copies === undefined) await session.run([...begin, ...as].join('; '));
    else {
      await session.run(begin.join('; '));
      await copyRowsIn(session, request.copies);
      if (as.length > 0) await session.run(as.join('; '));
    }
    const { bytes, answer } = await session.exchange((out) => {
      writeParse(out, request.sql, request.parameterOids);
      writeBind(out, request);
      writeDescribe(out, 'portal');
      writeExecute(out);
      writeSync(out);
    });
    if (answer.error !== null) throw answer.error;
    return { columns: answer.columns, messages: copyRows(bytes, answer), rows: answer.rows, tag: answer.tag };
  } finally {
    await session.run('ROLLBACK');
    if (request.copies !== undefined) await forgetRows(session, request.copies);
  }
}

/**
 * Not undone by the ROLLBACK, and set again before it is read. The definitions may be newer than the mark (L2): a sequence that is gone
 * or renamed since, or altered so that it does not reach the value, is no error of a statement that may not even look at it.
 */
function setSequence({ def, state: { last, isCalled, logged } }: StoredSequence): string {
  const isThere = `seqrelid = '${def.oid}' AND ${last} BETWEEN seqmin AND seqmax`;
  const call = (of: string, from = '', where = ''): string =>
    `SELECT pg_catalog.${of} FROM pg_catalog.pg_sequence${from} WHERE ${isThere}${where}`;
  const sequence = 'seqrelid::pg_catalog.regclass';
  const set = call(`setval(${sequence}, ${last}, ${isCalled})`);
  if (logged === undefined) return set;
  // `log_cnt` can only be reached by drawing values.
  const isSame = ` AND seqincrement = ${def.increment} AND seqcache = ${def.cache} AND ${logged.from} BETWEEN seqmin AND seqmax`;
  const draws = `, pg_catalog.generate_series(0, ${logged.fetches} * ${def.cache}::int8)`;
  return [
    set,
    call(`setval(${sequence}, ${logged.from}, false)`, '', isSame),
    call(`nextval(${sequence})`, draws, isSame),
  ].join('; ');
}

/** The rows of a stub view, as a setting of the transaction (see sql/). */
function fillView(filling: CatalogQuery['views'][number]): string {
  const view = stubView(filling.schema, filling.name);
  invariant(view !== undefined, `${filling.schema}.${filling.name} is a stub view`);
  return `SET LOCAL ${stubSetting(view)} = ${quoteLiteral(stubJson(view, filling.rows))}`;
}

async function mirror(session: PgliteSession, mirrored: Mirrored, wanted: CatalogContents): Promise<void> {
  const steps = mirrorSteps(mirrored, wanted);
  const failures: unknown[] = [];
  const gone = (name: string): void => {
    mirrored.schemas.delete(name);
    mirrored.comments.delete(`schema ${name}`);
  };
  await inBatches(session, steps.dropViews, dropViewSql, ({ oid }) => mirrored.views.delete(oid), failures);
  await inBatches(session, steps.dropTables, dropTableSql, (def) => mirrored.tables.delete(def.uuid), failures);
  await inBatches(session, steps.dropSequences, dropSequenceSql, () => undefined, failures);
  await inBatches(session, steps.dropSchemas, dropSchemaSql, gone, failures);
  await inBatches(session, steps.createSchemas, createSchemaSql, (name) => mirrored.schemas.add(name), failures);
  const sequenceSql = (def: SequenceDef): string => madeIn(def, (made) => createSequenceSql(made));
  await inBatches(session, steps.createSequences, sequenceSql, () => undefined, failures);
  const tableSql = (def: TableDef): string =>
    madeIn(def, (made, opened) => createTableSql(made, (wanted.sequences ?? []).map(opened)));
  await inBatches(session, steps.createTables, tableSql, (def) => mirrored.tables.set(def.uuid, def), failures);
  const viewSql = (def: ViewDef): string =>
    madeIn(def, (made) => createViewSql({ ...made, sql: openedText(made.sql, def.schema) }));
  await inBatches(session, steps.createViews, viewSql, (def) => mirrored.views.set(def.oid, def), failures);
  const commented = ([of, text]: SharedComment): unknown =>
    text === null ? mirrored.comments.delete(of) : mirrored.comments.set(of, text);
  await inBatches(session, steps.setComments, sharedCommentSql, commented, failures);
  mirrored.sequences = wanted.sequences ?? [];
  const made = [steps.createTables, steps.createSequences, steps.createViews, steps.createSchemas];
  await mirrorRights(
    session,
    mirrored,
    wanted,
    made.some(({ length }) => length > 0),
    failures,
  );
  if (failures.length > 0) throw failures[0];
}

/** Owners and lists go with what is made anew, so they are set for all that have any. */
async function mirrorRights(
  session: PgliteSession,
  mirrored: Mirrored,
  wanted: CatalogContents,
  made: boolean,
  failures: unknown[],
): Promise<void> {
  const { roles } = wanted;
  if (roles === undefined || (roles === mirrored.roles && !made)) return;
  try {
    const state = fromJson(roles);
    const sql = roles === mirrored.roles ? [] : rolesSql(state);
    await session.run([...sql, ...rightsSql(state, wanted)].join(';\n'));
    mirrored.roles = roles;
  } catch (error) {
    if (!(error instanceof SqlError)) throw error;
    mirrored.roles = null;
    failures.push(error);
  }
}

function dropSchemaSql(name: string): string {
  return `DROP SCHEMA ${quoteIdentifier(name)}`;
}

/** A batch is one implicit transaction; when it fails, each of its members is tried alone. */
async function inBatches<T>(
  session: PgliteSession,
  items: readonly T[],
  sqlOf: (item: T) => string,
  done: (item: T) => void,
  failures: unknown[],
): Promise<void> {
  for (let start = 0; start < items.length; start += PER_BATCH) {
    const batch = items.slice(start, start + PER_BATCH);
    try {
      await session.run(batch.map(sqlOf).join(';\n'));
      batch.forEach(done);
    } catch (error) {
      if (!(error instanceof SqlError)) throw error; // the session is lost, or our own bug
      if (batch.length === 1) failures.push(error);
      else for (const item of batch) await inBatches(session, [item], sqlOf, done, failures);
    }
  }
}
