/** Rows of the views about sessions, as texts by column (src/catalog/stub-views.ts): of all of them, or of the one that asks. */
import { stubView } from '../catalog/stub-views.ts';
import type { Database } from '../ingest/database.ts';
import { LOCK_NAMES } from '../ingest/table-locks.ts';
import { withoutSecrets } from '../secret-text.ts';
import type { SessionPortal } from './portal.ts';
import type { Peer, Peers } from './peers.ts';
import type { SessionPrepared } from './prepare.ts';
import { SqlCursor } from './sql-cursor.ts';

type Row = Readonly<Record<string, string | number | boolean | null>>;
type Texts = readonly (readonly (string | null)[])[];

/** pg_settings is made of these in PostgreSQL. */
const UNDERLYING: Readonly<Record<string, string>> = { 'pg_catalog.pg_settings': 'arka.settings' };

export interface FilledView {
  readonly schema: string;
  readonly name: string;
  readonly rows: Texts;
}

/** Null: it is no view about sessions. */
export function sessionView(peers: Peers, peer: Peer, database: Database, view: string): FilledView | null {
  const filled = UNDERLYING[view] ?? view;
  const dot = filled.indexOf('.');
  const [schema, name] = [filled.slice(0, dot), filled.slice(dot + 1)];
  const rows = rowsOf(peers, peer, database, filled);
  const columns = stubView(schema, name)?.columns;
  if (rows === null || columns === undefined) return null;
  const texts = rows.map((row) => columns.map((column) => textOf(row[column])));
  return { schema, name, rows: texts };
}

function textOf(value: Row[string] | undefined): string | null {
  return value === undefined || value === null ? null : String(value);
}

function rowsOf(peers: Peers, peer: Peer, database: Database, view: string): readonly Row[] | null {
  switch (view) {
    case 'pg_catalog.pg_stat_activity':
      return [...peers.all.values()].map((each) => activityRow(each, peer));
    case 'pg_catalog.pg_locks':
      return [...peers.all.values()].flatMap((each) => lockRows(each, database));
    case 'pg_catalog.pg_prepared_statements':
      return [...peer.names.statements]
        .filter(([name]) => name !== '')
        .map(([name, prepared]) => preparedRow(name, prepared as SessionPrepared));
    case 'pg_catalog.pg_cursors':
      return peer.names.portals.list().map(([name, portal]) => cursorRow(name, portal));
    case 'arka.settings':
      return peer.settings
        .list()
        .map(({ name, raw, shown, source, reset }) => ({ name, setting: raw, shown, source, reset_val: reset }));
    case 'arka.listening':
      return [...peer.listener.channels].map((channel) => ({ channel }));
    default:
      return null;
  }
}

const time = (milliseconds: number): string | null =>
  milliseconds === 0 ? null : `${new Date(milliseconds).toISOString().slice(0, -1)}+00`;

const STATES = { I: 'idle', T: 'idle in transaction', E: 'idle in transaction (aborted)' } as const;

/** Of somebody else's session a superuser alone sees more than that it is there. */
function activityRow(peer: Peer, by: Peer): Row {
  if (peer.user !== by.user && by.settings.get('is_superuser') !== 'on')
    return { datname: 'arka', pid: peer.pid, usename: peer.user, query: '<insufficient privilege>' };
  const { activity, client, settings } = peer;
  const waits = activity.isActive ? activity.waits : (['Client', 'ClientRead'] as const);
  return {
    datname: 'arka',
    pid: peer.pid,
    usename: peer.user,
    application_name: settings.get('application_name')!,
    client_addr: client.address,
    client_port: client.port,
    backend_start: time(activity.startedAt),
    xact_start: time(peer.transactionAt),
    query_start: time(activity.queryAt),
    state_change: time(activity.changedAt),
    wait_event_type: waits?.[0] ?? null,
    wait_event: waits?.[1] ?? null,
    state: activity.isActive ? 'active' : STATES[peer.status()],
    query: activity.query,
    backend_type: 'client backend',
  };
}

function preparedRow(name: string, prepared: SessionPrepared): Row {
  const { parameterOids, columns, parsed, preparedAt, sqlText } = prepared;
  return {
    name,
    statement: withoutSecrets(sqlText ?? parsed?.source ?? ''),
    prepare_time: time(preparedAt),
    parameter_types: `{${parameterOids.join(',')}}`,
    result_types: columns === null ? null : `{${columns.map(({ typeOid }) => typeOid).join(',')}}`,
    from_sql: sqlText !== undefined,
    generic_plans: 0,
    custom_plans: 0,
  };
}

function cursorRow(name: string, portal: SessionPortal): Row {
  const { cursor, prepared, run } = portal;
  return {
    name,
    statement: withoutSecrets(cursor?.text ?? prepared.sqlText ?? prepared.parsed?.source ?? ''),
    is_holdable: cursor?.isHoldable ?? false,
    is_binary: cursor?.isBinary ?? false,
    is_scrollable: run instanceof SqlCursor && run.scrolls,
    creation_time: time(cursor?.declaredAt ?? portal.boundAt),
  };
}

function lockRows({ pid, hold, advisory }: Peer, database: Database): readonly Row[] {
  const common = { pid, virtualtransaction: `${pid}/0`, granted: true, fastpath: false };
  const transaction = hold.transaction();
  const relation = (uuid: string): number | null => database.tableOf(uuid)?.def.oid ?? null;
  const tableRow = ({ uuid, mode }: { readonly uuid: string; readonly mode: number }): Row => ({
    ...common,
    locktype: 'relation',
    relation: relation(uuid),
    mode: LOCK_NAMES[mode]!,
  });
  const tables = [...database.locks.heldBy(hold)].map(tableRow);
  if (hold.waitsFor !== null) tables.push({ ...tableRow(hold.waitsFor), granted: false });
  const transactions: Row[] = [];
  if (transaction !== null) {
    const row = { ...common, locktype: 'transactionid' };
    transactions.push({ ...row, transactionid: transaction.id, mode: 'ExclusiveLock' });
    const { waitsFor } = transaction;
    if (waitsFor !== null) transactions.push({ ...row, transactionid: waitsFor.id, mode: 'ShareLock', granted: false });
  }
  const keys = advisory.list().map(({ key, isShared, granted }): Row => {
    return { ...common, ...advisoryKey(key), mode: isShared ? 'ShareLock' : 'ExclusiveLock', granted };
  });
  return [...tables, ...transactions, ...keys];
}

/** As PostgreSQL shows a bigint, or two integers. */
function advisoryKey(key: string): Row {
  const [first, second] = key.split(' ');
  const common = { locktype: 'advisory' };
  if (second !== undefined)
    return { ...common, classid: Number(first) >>> 0, objid: Number(second) >>> 0, objsubid: 2 };
  const number = BigInt.asUintN(64, BigInt(first!));
  return { ...common, classid: Number(number >> 32n), objid: Number(number & 0xffff_ffffn), objsubid: 1 };
}
