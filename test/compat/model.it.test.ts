/**
 * Random sequences of statements, with rows that move meanwhile: at each commit PyIceberg and DuckDB's Iceberg extension read the rows that
 * Arka has then. MODEL_SEED and MODEL_RUNS choose others.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openSocket, type Session } from '../differential/wire.ts';
import { anySequence, eventSql, scriptText, wireStep, type Sequence } from '../model/sequence.ts';
import { definition } from '../model/tables.ts';
import { type ServerProcess, startServer } from '../process/server-process.ts';
import { tableSum, type TableSum } from './checksum.ts';
import { python } from './outside.ts';

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

/** A table as it was committed. */
interface Moment {
  readonly metadata: string;
  readonly here: TableSum;
  readonly script: string;
}

const SHORT_NAMES: Readonly<Record<string, string>> = {
  'timestamp with time zone': 'timestamptz',
  'character varying': 'varchar',
};

/** Null: the table has another name now. */
async function momentOf(schema: string, table: string, script: string): Promise<Moment | null> {
  const columns = await arka.run(
    `SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '${schema}' AND table_name = '${table}' ORDER BY ordinal_position`,
  );
  if (columns.rows.length === 0) return null;
  const types = Object.fromEntries(columns.rows.map(([name, type]) => [name!, SHORT_NAMES[type!] ?? type!]));
  const { rows } = await arka.run(`SELECT ${Object.keys(types).join(', ')} FROM ${schema}.${table}`);
  const { rows: metadata } = await arka.run(`SELECT arka.metadata_location('${schema}.${table}')`);
  return { metadata: metadata[0]![0]!, here: tableSum(types, rows), script };
}

/** Runs a sequence; its tables at each commit. */
async function momentsOf(schema: string, sequence: Sequence): Promise<Moment[]> {
  const moments: Moment[] = [];
  const commit = async (done: number): Promise<void> => {
    await arka.run('CHECKPOINT');
    for (const { name } of sequence.tables) {
      const moment = await momentOf(schema, name, scriptText(sequence, done));
      if (moment !== null) moments.push(moment);
    }
  };
  for (const sql of [`CREATE SCHEMA ${schema}`, `SET search_path = ${schema}`]) await arka.run(sql);
  for (const sql of sequence.tables.flatMap((table) => definition(table, true))) await arka.run(sql);
  let status = 'I';
  for (const [i, step] of sequence.steps.entries()) {
    if ('session' in step) ({ status } = await arka.run(wireStep(step)));
    else if (status === 'I' && step.event === 'commit') await commit(i + 1);
    else if (status === 'I') await arka.run(eventSql(step.event, step.table, step.options)!);
  }
  await arka.run('COMMIT');
  await commit(sequence.steps.length);
  return moments;
}

const seed = Number(process.env['MODEL_SEED'] ?? 1);
const runs = Number(process.env['MODEL_RUNS'] ?? 30);
const sequences = fc.sample(anySequence({ sessions: ['a'], restarts: 0, stepsMax: 40 }), { seed, numRuns: runs });

test('PyIceberg and DuckDB read at each commit of random sequences the rows that are here then', async () => {
  const moments: Moment[] = [];
  for (const [i, sequence] of sequences.entries()) moments.push(...(await momentsOf(`m${i}`, sequence)));
  expect(moments.length).toBeGreaterThan(runs);
  const lines = await python('read_moments.py', [], moments.map(({ metadata }) => `${metadata}\n`).join(''));
  const read = lines
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as readonly [TableSum, TableSum]);
  for (const [i, { here, metadata, script }] of moments.entries()) {
    expect(read[i]![0], `PyIceberg, ${metadata}\n${script}`).toEqual(here);
    expect(read[i]![1], `DuckDB, ${metadata}\n${script}`).toEqual(here);
  }
}, 600_000);
