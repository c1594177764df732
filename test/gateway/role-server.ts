/** A server in this process whose clients say who they are; what it answers is one line a statement. */
import pg from 'pg';
import { expect } from 'vitest';
import { CatalogClient } from '../../src/catalog/catalog-client.ts';
import { systemClock } from '../../src/clock.ts';
import { contentsOf } from '../../src/gateway/catalog-view.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { Turns } from '../../src/gateway/last-resort.ts';
import { UnhandledLog } from '../../src/gateway/unhandled.ts';
import { loadParser } from '../../src/planner/parse.ts';
import { listen, type Listener } from '../../src/wire/listener.ts';
import { TestDatabase } from '../ingest/harness.ts';

/** Most rows that PostgreSQL inside gets copies of. */
export const COPIED_ROWS_MAX = 100;

export class RoleServer {
  readonly db: TestDatabase;
  /** Of all clients. */
  readonly notices: string[] = [];
  listener!: Listener;
  #catalog!: CatalogClient;
  readonly #clients: pg.Client[] = [];

  private constructor(db: TestDatabase) {
    this.db = db;
  }

  static async start(): Promise<RoleServer> {
    const server = new RoleServer(await TestDatabase.create());
    await loadParser();
    await server.serve();
    return server;
  }

  async serve(): Promise<void> {
    const { tiers } = this.db;
    const onProblem = (problem: string, error: unknown): void => console.error(problem, error);
    const catalog = new CatalogClient({ clock: systemClock, onProblem });
    this.#catalog = catalog;
    const { database, rights } = tiers;
    const definitionsChanged = (): void => catalog.setContents(contentsOf(database.relations, rights.state));
    definitionsChanged();
    database.onDefinition = definitionsChanged;
    rights.onChange = definitionsChanged;
    const unhandled = new UnhandledLog(systemClock);
    const copies = { rowsMax: COPIED_ROWS_MAX, turns: new Turns() };
    const context = { ...tiers, catalog, clock: systemClock, startedAt: 0, definitionsChanged, unhandled, copies };
    const gateway = createGateway(context, { defaults: new Map(), maxConnections: 50 });
    const log = (error: unknown, where: string): void => console.error(where, error);
    this.listener = await listen({ host: '127.0.0.1', port: 0, maxConnections: 50, gateway, clock: systemClock, log });
  }

  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.end();
    await this.listener.close();
    await this.#catalog.close();
  }

  async destroy(): Promise<void> {
    await this.stop();
    await this.db.destroy();
  }

  async as(user: string): Promise<pg.Client> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.listener.port, user, database: 'arka' });
    client.on('error', () => {});
    client.on('notice', ({ code, message }) => this.notices.push(`${code} ${message}`));
    await client.connect();
    this.#clients.push(client);
    return client;
  }
}

/** `code message` of the error, or the command's tag and rows. */
export async function said(client: pg.Client, sql: string, values?: unknown[]): Promise<string> {
  try {
    const result = await client.query({ text: sql, rowMode: 'array', ...(values === undefined ? {} : { values }) });
    const last = Array.isArray(result) ? result.at(-1)! : result;
    return [last.command, ...last.rows.map((row: unknown[]) => row.join('|'))].join(' ');
  } catch (error) {
    const { code, message } = error as pg.DatabaseError;
    return `${code} ${message}`;
  }
}

/** Each statement, and what is said to it. */
export async function script(
  client: pg.Client,
  steps: readonly (readonly [sql: string, said: string | RegExp])[],
): Promise<void> {
  for (const [sql, expected] of steps) {
    const answer = await said(client, sql);
    if (typeof expected === 'string') expect({ sql, said: answer }).toEqual({ sql, said: expected });
    else expect({ sql, said: answer }).toEqual({ sql, said: expect.stringMatching(expected) });
  }
}
