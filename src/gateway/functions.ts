/** Functions that Arka answers itself, as typed constants in the statement: PGlite would answer for itself, silently wrong. */
import { SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import { permanentSchema, type Relations } from '../ingest/relations.ts';
import { VERSION_LSN_TEXT } from '../planner/duckdb/lsn.ts';
import { Privilege } from '../rights/privileges.ts';
import { createsTemporary } from './catalog-view.ts';
import type { SessionSettings } from './settings.ts';
import { lsnText } from '../types/pg-lsn.ts';
import type { Peer, Peers } from './peers.ts';
import { permitTable, usable } from './permission.ts';
import type { SessionAccess } from './session-access.ts';
import { tableAt } from './views.ts';

export interface FunctionContext {
  readonly database: Database;
  readonly relations: Relations;
  readonly settings: SessionSettings;
  readonly access: SessionAccess;
  readonly peer: Peer;
  readonly peers: Peers;
  readonly startedAt: number;
  /** The number of the transaction; null: it has none yet, and gets none by asking. */
  readonly transactionNumber: (assign: boolean) => number | null;
}

/** Undefined: not Arka's. `args` are the texts of constant arguments. @throws {SqlError} 42P01 for a table that is not there */
export function ownFunction(
  context: FunctionContext,
  name: string,
  args: readonly string[],
): { text: string | null; type: string } | undefined {
  const { access, database, relations, settings, peer, peers, startedAt, transactionNumber } = context;
  switch (name) {
    case 'pg_current_wal_lsn':
    case 'pg_current_wal_insert_lsn':
      return { text: lsnText(database.committer.publishedLsn), type: 'pg_lsn' };
    case 'pg_current_wal_flush_lsn':
      return { text: lsnText(database.log.durableLsn), type: 'pg_lsn' };
    case 'pg_blocking_pids':
      return { text: `{${database.blockersOf(Number(args[0])).join(',')}}`, type: 'int4[]' };
    case 'pg_backend_pid':
      return { text: String(peer.pid), type: 'int4' };
    case 'inet_client_addr':
      return { text: peer.client.address, type: 'inet' };
    case 'inet_client_port':
      return { text: String(peer.client.port), type: 'int4' };
    case 'inet_server_addr':
      return { text: peer.client.serverAddress, type: 'inet' };
    case 'inet_server_port':
      return { text: String(peer.client.serverPort), type: 'int4' };
    case 'pg_is_in_recovery':
      return { text: 'f', type: 'bool' };
    case 'pg_postmaster_start_time':
    case 'pg_conf_load_time':
      return { text: new Date(startedAt).toISOString(), type: 'timestamptz' };
    case 'txid_current':
      return { text: String(transactionNumber(true)), type: 'int8' };
    case 'pg_current_xact_id':
      return { text: String(transactionNumber(true)), type: 'xid8' };
    case 'txid_current_if_assigned':
      return { text: numberText(transactionNumber(false)), type: 'int8' };
    case 'pg_current_xact_id_if_assigned':
      return { text: numberText(transactionNumber(false)), type: 'xid8' };
    case 'pg_client_encoding':
      return { text: settings.get('client_encoding')!, type: 'name' };
    case 'pg_notification_queue_usage':
      return { text: String(peers.channels.usage), type: 'float8' };
    case 'current_setting': {
      const value = settings.get(args[0] ?? '');
      return value === undefined ? undefined : { text: value, type: 'text' };
    }
    case 'current_user':
    case 'user':
    case 'current_role':
      return { text: access.currentUser, type: 'name' };
    case 'session_user':
      return { text: access.sessionUser, type: 'name' };
    case 'current_schema': {
      if (createsTemporary(relations, settings.searchPath, settings.beforeTemporary))
        return { text: settings.temporarySchema, type: 'name' };
      const schema = permanentSchema(relations, usable(access, settings.searchPath));
      return schema === undefined ? undefined : { text: schema, type: 'name' };
    }
    case 'arka.metadata_location': {
      const table = tableAt(database, args[0] ?? '');
      if (table !== undefined && !access.superuser) permitTable(access, table.def, Privilege.select);
      const location = table?.metadataLocation ?? null;
      if (location === null) throw new SqlError(SqlState.undefinedTable, `relation "${args[0] ?? ''}" does not exist`);
      return { text: location, type: 'text' };
    }
    case 'arka.current_lsn':
      return { text: VERSION_LSN_TEXT, type: 'pg_lsn' };
    case 'arka.wait_for_lsn':
      return { text: 't', type: 'bool' }; // by then it has waited (gateway/follow.ts)
    default:
      return undefined;
  }
}

function numberText(value: number | null): string | null {
  return value === null ? null : String(value);
}
