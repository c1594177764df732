/**
 * A statement whose WITH writes: the parts that others read, one after another, then the statement itself, then the parts that
 * nothing reads. All see the same rows (`ingest/statement-view.ts`); what a part returns stands for its name in the others.
 */
import { notSupported } from '../errors.ts';
import { StatementView } from '../ingest/statement-view.ts';
import type { WithPart } from '../planner/kept-columns.ts';
import type { Statement } from '../planner/plan.ts';
import type { MemoryUnit } from '../storage/scan-spec.ts';
import { bufferUnit } from './buffer.ts';
import { QueryRun, type QueryEnvironment } from './query.ts';
import type { Answer } from './returning.ts';
import { ReturnedRows } from './returned-rows.ts';
import { change } from './update.ts';
import { insert } from './write.ts';
import type { WriteEnvironment } from './write-environment.ts';

type With = Extract<Statement, { kind: 'with' }>;

/** The tag of the main statement, whose rows go to the environment's answer. */
export async function carryOutWith(
  environment: WriteEnvironment,
  session: { queryEnvironment(): QueryEnvironment },
  { before, main, after }: With,
): Promise<string> {
  for (const { rows } of before)
    if (rows !== null && rows.refused !== null)
      throw notSupported(`${rows.refused} in rows of WITH that other parts of the statement read`, {
        hint: 'Give columns of a table, or cast the expression to the type of one.',
      });
  const view = await StatementView.begin(environment.database, environment.transaction);
  const returned = new PartsRows(environment);
  try {
    for (const part of before) await returned.carryOut(part);
    const parts = returned.environment;
    const tag =
      main.kind === 'query'
        ? await select(parts, session.queryEnvironment(), main)
        : await write(parts, main, environment.answer);
    for (const part of after) await returned.carryOut(part);
    return tag;
  } finally {
    view.end();
    returned.release();
  }
}

type WriteStatement = Exclude<WithPart['statement'], { kind: 'query' }>;

function write(environment: WriteEnvironment, statement: WriteStatement, answer: Answer | null): Promise<string> {
  const own = { ...environment, answer };
  return statement.kind === 'insert' ? insert(own, statement) : change(own, statement);
}

async function select(
  { parameters, parameterOids, answer, buffers = new Map() }: WriteEnvironment,
  query: QueryEnvironment,
  { plan }: Extract<Statement, { kind: 'query' }>,
): Promise<string> {
  if (answer === null || 'take' in answer) throw notSupported('a data-modifying statement in WITH in this place');
  const { columns, formats, out } = answer;
  const standIn = { buffers, release: () => {} };
  const run = await QueryRun.open(query, plan, parameters, parameterOids, columns, formats, null, standIn);
  try {
    await run.send(out, 0);
    return run.tag;
  } finally {
    await run.close();
  }
}

/** What parts have returned so far. */
class PartsRows {
  /** In which they stand for their names. */
  environment: WriteEnvironment;
  readonly #releases: (() => void)[] = [];

  constructor(environment: WriteEnvironment) {
    this.environment = environment;
  }

  async carryOut({ statement, rows }: WithPart): Promise<void> {
    const { memory } = this.environment.database;
    if (rows === null) {
      if (statement.kind !== 'query') await write(this.environment, statement, null);
      return;
    }
    const { def, placeholders } = rows;
    const taker = new ReturnedRows(memory, def);
    this.#releases.push(() => taker.rows.retire());
    if (statement.kind === 'query') await taker.takeQuery(this.environment, statement.plan);
    else await write(this.environment, statement, taker);
    const { unit, release } = bufferUnit(
      memory,
      taker.rows,
      def.columns.map(({ fieldId }) => fieldId),
    );
    this.#releases.push(release);
    const named = placeholders.map((name): [string, MemoryUnit] => [name, unit]);
    this.environment = { ...this.environment, buffers: new Map([...(this.environment.buffers ?? []), ...named]) };
  }

  release(): void {
    for (const release of this.#releases.toReversed()) release();
  }
}
