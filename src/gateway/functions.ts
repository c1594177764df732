/** Functions that Arka answers itself, as typed constants in the statement: PGlite would answer for itself, silently wrong. */
import { SqlError, SqlState } from '../errors.ts';
import type { Database } from '../ingest/database.ts';
import type { Relations } from '../ingest/relations.ts';
import { VERSION_LSN_TEXT } from '../planner/duckdb/lsn.ts';
import type { SessionSettings } from './settings.ts';
import { lsnText } from '../types/pg-lsn.ts';
import { metadataLocation } from './views.ts';

export interface FunctionContext {
  readonly database: Database;
  readonly relations: Relations;
  readonly settings: SessionSettings;
  readonly pid: number;
}

/** Undefined: not Arka's. `args` are the texts of constant arguments. @throws {SqlError} 42P01 for a table that is not there */
export function ownFunction(
  { database, relations, settings, pid }: FunctionContext,
  name: string,
  args: readonly string[],
): { text: string; type: string } | undefined {
  switch (name) {
    case 'pg_current_wal_lsn':
    case 'pg_current_wal_insert_lsn':
      return { text: lsnText(database.committer.publishedLsn), type: 'pg_lsn' };
    case 'pg_current_wal_flush_lsn':
      return { text: lsnText(database.log.durableLsn), type: 'pg_lsn' };
    case 'pg_blocking_pids':
      return { text: `{${database.blockersOf(Number(args[0])).join(',')}}`, type: 'int4[]' };
    case 'pg_backend_pid':
      return { text: String(pid), type: 'int4' };
    case 'current_setting': {
      const value = settings.get(args[0] ?? '');
      return value === undefined ? undefined : { text: value, type: 'text' };
    }
    case 'current_user':
    case 'user':
    case 'current_role':
      return { text: settings.currentUser, type: 'name' };
    case 'session_user':
      return { text: settings.get('session_authorization')!, type: 'name' };
    case 'current_schema': {
      const schema = settings.searchPath.find((each) => relations.hasSchema(each));
      return schema === undefined ? undefined : { text: schema, type: 'name' };
    }
    case 'arka.metadata_location': {
      const location = metadataLocation(database, args[0] ?? '');
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
