/** What clients meet before the server can take them: 57P03 with the reason, as a PostgreSQL in recovery says it. */
import { SqlError, SqlState } from '../errors.ts';
import type { ClientFacts, Gateway, GatewaySession, SessionEvents } from '../wire/gateway-api.ts';
import type { Credential } from '../wire/scram-exchange.ts';

export class StartingGateway implements Gateway {
  #gateway: Gateway | null = null;
  #reason = 'the log is replayed';

  /** What the start waits for. */
  waits(reason: string): void {
    this.#reason = reason;
  }

  ready(gateway: Gateway): void {
    this.#gateway = gateway;
  }

  credential(user: string): Credential | null {
    return this.#started().credential(user);
  }

  async open(
    startup: ReadonlyMap<string, string>,
    events: SessionEvents,
    client: ClientFacts,
  ): Promise<GatewaySession> {
    return this.#started().open(startup, events, client);
  }

  #started(): Gateway {
    if (this.#gateway !== null) return this.#gateway;
    throw new SqlError(SqlState.cannotConnectNow, `the database system is starting up: ${this.#reason}`, {
      severity: 'FATAL',
      hint: 'Connect again later; nothing that was acknowledged is lost.',
    });
  }

  cancel(pid: number, key: Uint8Array): void {
    this.#gateway?.cancel(pid, key);
  }
}
