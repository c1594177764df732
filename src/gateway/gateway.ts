/**
 * The gateway: what `wire/` talks to. Opens sessions, passes cancel requests on. A statement's way starts in
 * gateway/session.ts.
 */
import { SqlError, type SqlErrorFields, SqlState } from '../errors.ts';
import { DATABASE } from '../planner/schema-names.ts';
import { sessionDefaults } from '../rights/role-defaults.ts';
import type { Role } from '../rights/roles.ts';
import { sameBytes } from '../scram.ts';
import type { Gateway } from '../wire/gateway-api.ts';
import { AdvisoryLocks } from './advisory-locks.ts';
import type { ServerContext } from './context.ts';
import { ConstantResults } from './constant-results.ts';
import { Peers } from './peers.ts';
import { Session } from './session.ts';
import { SessionSettings } from './settings.ts';

/** PostgreSQL's superuser_reserved_connections, and at most so much of all. */
const RESERVED_CONNECTIONS = 3;
const RESERVED_FRACTION = 0.1;

export interface GatewayOptions {
  /** Left out: `trust`, everyone is who he says. */
  readonly method?: 'trust' | 'scram-sha-256';
  /** Left out: no limit. */
  readonly maxConnections?: number;
  /** Defaults of settings from the configuration. */
  readonly defaults: ReadonlyMap<string, string>;
}

export function createGateway(given: Omit<ServerContext, 'peers' | 'constants'>, options: GatewayOptions): Gateway {
  const sessions = new Map<number, Session>();
  const locks = new AdvisoryLocks();
  const peers = new Peers(given.startedAt, locks);
  const context: ServerContext = { ...given, peers, constants: new ConstantResults() };
  const { clock, rights } = context;
  const { maxConnections = Number.POSITIVE_INFINITY, method = 'trust' } = options;
  const reserved = Math.min(RESERVED_CONNECTIONS, Math.floor(maxConnections * RESERVED_FRACTION));
  let nextPid = 1;

  /** The role that a client is from now on. @throws {SqlError} FATAL 28000, 53300 */
  const admitted = (user: string, clients: number): Role => {
    const role = rights.state.roles.get(user);
    if (role === undefined) throw fatal(SqlState.invalidAuthorization, `role "${user}" does not exist`);
    if (!role.login) throw fatal(SqlState.invalidAuthorization, `role "${user}" is not permitted to log in`);
    if (role.superuser) return role;
    if (clients > maxConnections - reserved) {
      throw fatal(
        SqlState.tooManyConnections,
        'remaining connection slots are reserved for non-replication superuser connections',
      );
    }
    let own = 0;
    for (const session of sessions.values()) if (session.user === user) own++;
    if (role.connectionLimit >= 0 && own >= role.connectionLimit)
      throw fatal(SqlState.tooManyConnections, `too many connections for role "${user}"`);
    return role;
  };

  return {
    credential: (user) => (method === 'trust' ? null : rights.credential(user, clock.now())),
    open: async (startup, events, client) => {
      const user = startup.get('user') ?? '';
      const role = admitted(user, client.sessions);
      const database = startup.get('database') ?? user;
      if (database !== DATABASE) throw fatal(SqlState.invalidCatalogName, `database "${database}" does not exist`);
      const pid = nextPid++;
      const changed = new Set<string>();
      const ofRole = sessionDefaults(rights.state, role.oid);
      const settingChanged = (name: string): void => {
        changed.add(name);
        if (name === 'client_encoding') events.encoding(settings.get(name)!);
      };
      const settings: SessionSettings = new SessionSettings(startup, options.defaults, settingChanged, role, ofRole);
      const closed = (): boolean => sessions.delete(pid) && peers.all.delete(pid);
      const session = new Session(context, pid, client, { settings, changed }, events, locks, closed);
      sessions.set(pid, session);
      peers.all.set(pid, session);
      return session;
    },
    cancel: (pid, key) => {
      const session = sessions.get(pid);
      if (session !== undefined && sameBytes(session.cancelKey, key)) session.cancel();
    },
  };
}

function fatal(code: SqlState, message: string, fields: SqlErrorFields = {}): SqlError {
  return new SqlError(code, message, { severity: 'FATAL', ...fields });
}
