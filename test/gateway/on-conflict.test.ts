/** ON CONFLICT under concurrency: sessions that write the same keys, while their rows move from tier to tier. */
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connect } from '../process/client.ts';
import { startServer, type ServerProcess } from '../process/server-process.ts';

let server: ServerProcess;
let client: Client;

beforeAll(async () => {
  server = await startServer();
  client = await connect(server.url);
}, 60_000);
afterAll(async () => {
  await client.end();
  await server[Symbol.asyncDispose]();
});

/** One computed by main, one by a query. */
test.each(['counters.n + excluded.n', 'counters.n * 1 + abs(excluded.n)'])(
  'counters that several sessions raise by %s lose nothing while rows are flushed and committed',
  async (sum) => {
    await client.query('DROP TABLE IF EXISTS counters');
    await client.query('CREATE TABLE counters (id int PRIMARY KEY, n bigint, note text)');
    const sessions = await Promise.all(Array.from({ length: 4 }, () => connect(server.url)));
    let done = false;
    const moving = (async () => {
      for (let i = 0; !done; i++)
        await client.query(i % 2 === 0 ? `CALL arka.flush('public.counters')` : `CALL arka.commit('public.counters')`);
    })();
    await Promise.all(
      sessions.map(async (session, s) => {
        for (let i = 0; i < 30; i++) {
          const ids = [(i + s) % 5, 5 + ((i * s) % 5)];
          await session.query({
            name: 'raise',
            text: `INSERT INTO counters VALUES ($1, 1, 'x'), ($2, 1, 'y') ON CONFLICT (id) DO UPDATE SET n = ${sum}`,
            values: ids.toSorted(),
          });
        }
      }),
    );
    done = true;
    await moving;
    const { rows } = await client.query('SELECT sum(n)::int AS total, count(*)::int AS keys FROM counters');
    expect(rows).toEqual([{ total: 240, keys: 10 }]);
    await Promise.all(sessions.map((session) => session.end()));
  },
  60_000,
);

test('of sessions that insert one key with DO NOTHING exactly one does', async () => {
  await client.query('CREATE TABLE once (id int PRIMARY KEY, who int)');
  const sessions = await Promise.all(Array.from({ length: 6 }, () => connect(server.url)));
  for (let id = 0; id < 10; id++) {
    const counts = await Promise.all(
      sessions.map(async (session, who) => {
        const sql = 'INSERT INTO once VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING who';
        return (await session.query(sql, [id, who])).rowCount;
      }),
    );
    expect(counts.toSorted()).toEqual([0, 0, 0, 0, 0, 1]);
  }
  await Promise.all(sessions.map((session) => session.end()));
});
