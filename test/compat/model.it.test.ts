/** After a random sequence of statements, with rows that moved meanwhile, other engines read the rows that Arka does. MODEL_SEED chooses others. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSocket, type Session } from '../differential/wire.ts';
import { anySequence, eventSql } from '../model/sequence.ts';
import { definition, type Table } from '../model/tables.ts';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { tableSum } from './checksum.ts';
import { readWithDuckDb, readWithPyIceberg } from './outside.ts';

let server: ServerProcess;
let arka: Session;
beforeAll(async () => {
  server = await startServer();
  arka = await openSocket('Arka', server.url, { options: '-c TimeZone=UTC' });
}, 90_000);
afterAll(async () => {
  await arka.close();
  await server[Symbol.asyncDispose]();
});

/** By the names of its columns, also those of ALTER TABLE. */
async function typesOf(table: string): Promise<Record<string, string>> {
  const { rows } = await arka.run(
    `SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '${table}' ORDER BY ordinal_position`,
  );
  const short: Readonly<Record<string, string>> = {
    'timestamp with time zone': 'timestamptz',
    'character varying': 'varchar',
  };
  return Object.fromEntries(rows.map(([name, type]) => [name!, short[type!] ?? type!]));
}

async function expectSameRows({ name }: Table, script: string): Promise<void> {
  const types = await typesOf(name);
  const { rows } = await arka.run(`SELECT ${Object.keys(types).join(', ')} FROM ${name}`);
  const here = tableSum(types, rows);
  const { rows: metadata } = await arka.run(`SELECT arka.metadata_location('public.${name}')`);
  expect(await readWithPyIceberg(server.dataDir, `public.${name}`), script).toEqual(here);
  expect(await readWithDuckDb(metadata[0]![0]!), script).toEqual(here);
}

const seed = Number(process.env['MODEL_SEED'] ?? 1);
const kinds = { sessions: ['a'], restarts: 0, stepsMax: 40, ofServer: true };
const sequences = fc.sample(anySequence(kinds), { seed, numRuns: 6 });

test.each(sequences.map((sequence, i) => [i, sequence] as const))(
  'sequence %i: PyIceberg and DuckDB read the rows that are here',
  async (_, { tables, steps }) => {
    const said: string[] = [];
    const run = async (sql: string, data?: string): Promise<void> => {
      said.push(sql);
      await arka.run(data === undefined ? sql : { sql, data });
    };
    for (const table of tables) for (const sql of definition(table, true)) await run(sql);
    for (const step of steps) {
      if ('session' in step) await run(step.sql, step.data);
      else if ((await arka.run('SELECT 1')).status === 'I') await run(eventSql(step.event, step.table)!);
    }
    await run('COMMIT');
    await run('CHECKPOINT');
    for (const table of tables) await expectSameRows(table, said.join('\n'));
    for (const { name } of tables) await run(`DROP TABLE ${name}`);
  },
  120_000,
);
