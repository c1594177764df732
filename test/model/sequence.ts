/** A sequence of the model: tables, then what the sessions and Arka do, in this order; and its text as a script to read and to keep. */
import fc from 'fast-check';
import { anyStatement, firstRows, type Statement } from './statements.ts';
import { anyTable, definition, type Table } from './tables.ts';

/** What only Arka does; PostgreSQL must not show any of it. A crash or a restart ends all sessions on both. */
export type Event = 'flush' | 'commit' | 'compaction' | 'restart' | 'crash';

export type ModelStep = { readonly event: Event; readonly table: string } | ({ readonly session: string } & Statement);

export interface Sequence {
  readonly tables: readonly Table[];
  readonly steps: readonly ModelStep[];
}

export interface Kinds {
  readonly sessions: readonly string[];
  /** Weight of restarts and of crashes each; a step of a statement has about 100. */
  readonly restarts: number;
  readonly stepsMax: number;
  /** COPY and more that PGlite does not take. */
  readonly ofServer: boolean;
}

export const anySequence = ({ sessions, restarts, stepsMax, ofServer }: Kinds): fc.Arbitrary<Sequence> =>
  fc.tuple(anyTable('t', true), anyTable('u', false)).chain((tables) => {
    const table = fc.constantFrom(...tables.map(({ name }) => name));
    const event = (name: Event): fc.Arbitrary<ModelStep> => table.map((of) => ({ event: name, table: of }));
    const statement = fc
      .tuple(fc.constantFrom(...sessions), anyStatement(tables, ofServer, sessions.length === 1))
      .map(([session, made]): ModelStep => ({ session, ...made }));
    const step = fc.oneof(
      { weight: 100, arbitrary: statement },
      { weight: 10, arbitrary: event('flush') },
      { weight: 8, arbitrary: event('commit') },
      { weight: 3, arbitrary: event('compaction') },
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

export function eventSql(event: Event, table: string): string | null {
  switch (event) {
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

export function stepText(step: ModelStep): string {
  if ('event' in step) return `arka: ${eventSql(step.event, step.table) ?? step.event}`;
  const data = step.data === undefined ? '' : ` -- ${JSON.stringify(step.data)}`;
  return `${step.session}> ${step.sql}${data}`;
}

/** `done`: how many steps are shown. */
export const scriptText = ({ tables, steps }: Sequence, done = steps.length): string =>
  [
    ...tables.flatMap((table) => definition(table, true)).map((sql) => `setup> ${sql}`),
    ...steps.slice(0, done).map(stepText),
  ].join('\n');
