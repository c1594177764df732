/**
 * The gateway: what `wire/` talks to. Opens sessions, passes cancel requests on. A statement's way starts in
 * gateway/session.ts.
 */
import { SqlError, SqlState } from '../errors.ts';
import { DATABASE } from '../planner/schema-names.ts';
import type { Gateway } from '../wire/gateway-api.ts';
import { AdvisoryLocks } from './advisory-locks.ts';
import type { ServerContext } from './context.ts';
import { Session } from './session.ts';
import { SessionSettings } from './settings.ts';

export interface GatewayOptions {
  readonly user: string;
  /** Defaults of settings from the configuration. */
  readonly defaults: ReadonlyMap<string, string>;
}

export function createGateway(context: ServerContext, options: GatewayOptions): Gateway {
  const sessions = new Map<number, Session>();
  const locks = new AdvisoryLocks();
  let nextPid = 1;
  return {
    open: (startup, events) => {
      const user = startup.get('user') ?? '';
      if (user !== options.user) {
        return Promise.reject(
          new SqlError(SqlState.invalidAuthorization, `role "${user}" does not exist`, {
            severity: 'FATAL',
            hint: `Connect as ${options.user}.`,
          }),
        );
      }
      const database = startup.get('database') ?? user;
      if (database !== DATABASE)
        return Promise.reject(
          new SqlError(SqlState.invalidCatalogName, `database "${database}" does not exist`, { severity: 'FATAL' }),
        );
      const pid = nextPid++;
      const settings = new SessionSettings(startup, options.defaults, (name, value) => events.parameter(name, value));
      const session = new Session(context, pid, settings, events, locks, () => sessions.delete(pid));
      sessions.set(pid, session);
      return Promise.resolve(session);
    },
    cancel: (pid, secret) => {
      const session = sessions.get(pid);
      if (session?.secret === secret) session.cancel();
    },
  };
}
