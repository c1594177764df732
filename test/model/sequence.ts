/** A sequence of the model: tables, then what the sessions and Arka do, in this order; and its text as a script to read and to keep. */
import fc from 'fast-check';
import type { Step } from '../differential/wire.ts';
import { anyStatement, firstRows, type Statement } from './statements.ts';
import { anyTable, definition, type Table } from './tables.ts';

/** What only Arka does; PostgreSQL must not show any of it. A crash or a restart ends all sessions on both. */
export type Event = 'flush' | 'commit' | 'compaction' | 'options' | 'restart' | 'crash';

export type ModelStep =
  | { readonly event: Event; readonly table: string; readonly options: string }
  | ({ readonly session: string } & Statement);

export interface Sequence {
  readonly tables: readonly Table[];
  readonly steps: readonly ModelStep[];
}

export interface Kinds {
  readonly sessions: readonly string[];
  /** Weight of restarts and of crashes each; a step of a statement has 600. */
  readonly restarts: number;
  readonly stepsMax: number;
}

/** How the table is laid out from now on; what is there stays as it is. */
const OPTIONS = [
  "partition_by = 's'",
  "partition_by = 'bucket(2, n)'",
  "partition_by = ''",
  "sort_by = 'n'",
  "sort_by = ''",
];

export const anySequence = ({ sessions, restarts, stepsMax }: Kinds): fc.Arbitrary<Sequence> =>
  fc.tuple(anyTable('t', true), anyTable('u', false)).chain((tables) => {
    const table = fc.constantFrom(...tables.map(({ name }) => name));
    const event = (name: Event): fc.Arbitrary<ModelStep> =>
      fc.tuple(table, fc.constantFrom(...OPTIONS)).map(([of, options]) => ({ event: name, table: of, options }));
    const statement = fc
      .tuple(fc.constantFrom(...sessions), anyStatement(tables, sessions.length === 1))
      .map(([session, made]): ModelStep => ({ session, ...made }));
    const step = fc.oneof(
      { weight: 600, arbitrary: statement },
      { weight: 60, arbitrary: event('flush') },
      { weight: 48, arbitrary: event('commit') },
      { weight: 18, arbitrary: event('compaction') },
      { weight: 12, arbitrary: event('options') },
      { weight: restarts, arbitrary: event('restart') },
      { weight: restarts, arbitrary: event('crash') },
    );
    return fc
      .tuple(fc.tuple(...tables.map(firstRows)), fc.array(step, { minLength: 5, maxLength: stepsMax, size: 'max' }))
      .map(([rows, steps]): Sequence => ({
        tables,
        steps: [...rows.map((made) => ({ session: 'a', ...made })), ...steps],
      }));
  });

export function eventSql(event: Event, table: string, options: string): string | null {
  switch (event) {
    case 'options':
      return `ALTER TABLE ${table} SET (${options})`;
    case 'flush':
      return `CALL arka.flush('${table}')`;
    case 'commit':
      return 'CHECKPOINT';
    case 'compaction':
      return `VACUUM FULL ${table}`;
    case 'restart':
    case 'crash':
      return null;
  }
}

/** As it goes over the wire. */
export function wireStep({ sql, data, values, group }: Statement): Step {
  if (group !== undefined) return { sql, group };
  if (data !== undefined) return { sql, data };
  return values === undefined ? sql : { sql, values };
}

export function stepText(step: ModelStep): string {
  if ('event' in step) return `arka: ${eventSql(step.event, step.table, step.options) ?? step.event}`;
  const { session, sql, data, values } = step;
  return `${session}> ${sql}${data === undefined && values === undefined ? '' : ` -- ${JSON.stringify(data ?? values)}`}`;
}

/** `done`: how many steps are shown. */
export const scriptText = ({ tables, steps }: Sequence, done = steps.length): string =>
  [
    ...tables.flatMap((table) => definition(table, true)).map((sql) => `setup> ${sql}`),
    ...steps.slice(0, done).map(stepText),
  ].join('\n');
