/** What clients meet before the server can take them: 57P03 with the reason, as a PostgreSQL in recovery says it. */
import { SqlError, SqlState } from '../errors.ts';
import type { Gateway, GatewaySession, SessionEvents } from '../wire/gateway-api.ts';

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

  async open(startup: ReadonlyMap<string, string>, events: SessionEvents): Promise<GatewaySession> {
    if (this.#gateway !== null) return this.#gateway.open(startup, events);
    throw new SqlError(SqlState.cannotConnectNow, `the database system is starting up: ${this.#reason}`, {
      severity: 'FATAL',
      hint: 'Connect again later; nothing that was acknowledged is lost.',
    });
  }

  cancel(pid: number, secret: number): void {
    this.#gateway?.cancel(pid, secret);
  }
}
