/** What a session knows by name: prepared statements and portals, shared by SQL and the protocol's messages. */
import type { Prepared } from '../wire/gateway-api.ts';
import { SessionPortals } from './portals.ts';

export class SessionNames {
  readonly statements = new Map<string, Prepared>();
  readonly portals = new SessionPortals();
}
