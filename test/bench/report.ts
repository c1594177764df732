/** Figures of all rounds to one line a row: median, lowest, highest, ratio, and whether the goal is met. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { projectRoot } from '../process/server-process.ts';
import type { Goal, Row } from './goals.ts';
import type { SystemName } from './systems.ts';
import type { Measure } from './workloads.ts';

export type Rounds = ReadonlyMap<SystemName, readonly Measure[]>;

export interface Result {
  readonly row: Row;
  /** Null: not measured, or it failed. */
  readonly rounds: Rounds | null;
  readonly failure: string | null;
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
};

const digits = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 1 : 2);

function figure(measures: readonly Measure[] | undefined): string {
  if (measures === undefined || measures.length === 0) return '–';
  const values = measures.map((each) => each.value);
  const range = values.length > 1 ? ` [${digits(Math.min(...values))}–${digits(Math.max(...values))}]` : '';
  return `${digits(median(values))}${range}`;
}

function cores(measures: readonly Measure[] | undefined, of: 'serverCores' | 'clientCores'): string {
  const values = (measures ?? []).map((each) => each[of]).filter((each) => each !== null);
  return values.length === 0 ? '–' : median(values).toFixed(2);
}

/** CPU of the system a row, in µs: what a busy machine changes least. */
function cpuPerRow(unit: string, measures: readonly Measure[] | undefined): string {
  const values = (measures ?? []).filter((each) => each.serverCores !== null);
  if (unit !== 'rows/s' || values.length === 0) return '';
  return `, ${median(values.map((each) => (each.serverCores! / each.value) * 1e6)).toPrecision(3)} µs a row`;
}

function more(measures: readonly Measure[] | undefined): string {
  if (measures === undefined || measures.length === 0) return '';
  const names = Object.keys(measures[0]!.more);
  return names.map((name) => `${name} ${digits(median(measures.map((each) => each.more[name]!)))}`).join(', ');
}

export function goalText(goal: Goal, unit: string): string {
  switch (goal.kind) {
    case 'ratio': {
      const also = goal.andValue === undefined ? '' : ` and ≥ ${digits(goal.andValue)} ${unit}`;
      return `≥ ${goal.atLeast.toFixed(1)} ×${also}`;
    }
    case 'at most':
      return `≤ ${digits(goal.limit)} ${unit}`;
    case 'at least':
      return `≥ ${digits(goal.limit)} ${unit}`;
    default:
      return goal satisfies never;
  }
}

/** Of medians; null when there is nothing to compare with. */
export function ratioOf(rounds: Rounds): number | null {
  const [ours, theirs] = (['Arka', 'PostgreSQL'] as const).map((name) => rounds.get(name)?.map((each) => each.value));
  return ours === undefined || theirs === undefined ? null : median(ours) / median(theirs);
}

export function isMet(row: Row, rounds: Rounds): boolean {
  const value = median(rounds.get('Arka')!.map((each) => each.value));
  switch (row.goal.kind) {
    case 'ratio':
      return (ratioOf(rounds) ?? 0) >= row.goal.atLeast && value >= (row.goal.andValue ?? 0);
    case 'at most':
      return value <= row.goal.limit;
    case 'at least':
      return value >= row.goal.limit;
    default:
      return row.goal satisfies never;
  }
}

/** The cells of a row, as RESULTS.md and the terminal have them. */
export function cells({ row, rounds, failure }: Result): string[] {
  const head = [row.title, row.unit];
  const goal = goalText(row.goal, row.unit);
  if (rounds === null) return [...head, '–', '–', '–', goal, failure ?? 'not measured', '', ''];
  const ours = rounds.get('Arka');
  const theirs = rounds.get('PostgreSQL');
  const ratio = row.goal.kind === 'ratio' ? ratioOf(rounds) : null;
  const cpu = [ours, theirs].map(
    (each) => `${cores(each, 'serverCores')} + ${cores(each, 'clientCores')}${cpuPerRow(row.unit, each)}`,
  );
  const extra = [more(ours), more(theirs)].filter((text) => text !== '');
  return [
    ...head,
    figure(ours),
    figure(theirs),
    ratio === null ? '–' : `${ratio.toFixed(2)} ×`,
    goal,
    isMet(row, rounds) ? 'yes' : '**no**',
    cpu.join(' · '),
    extra.join(' · '),
  ];
}

const HEAD = ['work', 'unit', 'Arka', 'PostgreSQL', 'ratio', 'goal', 'met', 'cores: server + client', 'more'];

export function machine(): string {
  const [cpu] = cpus();
  return `${cpus().length} × ${cpu?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${/\S+ \S+ (\S+)/.exec(readFileSync('/proc/version', 'utf8'))?.[1] ?? ''}`;
}

function commit(): string {
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: projectRoot, encoding: 'utf8' }).trim();
  try {
    const changed = git('status', '--porcelain', '--', 'src') === '' ? '' : ' with changes';
    return `${git('rev-parse', '--short=12', 'HEAD')}${changed}`;
  } catch {
    return 'unknown';
  }
}

export function resultsPage(
  results: readonly Result[],
  setting: {
    readonly postgres: string;
    readonly seconds: number;
    readonly rounds: number;
    readonly load: string;
    readonly busy: boolean;
  },
): string {
  const line = (fields: readonly string[]): string =>
    `| ${fields.map((field) => field.replaceAll('|', '\\|')).join(' | ')} |`;
  return `# Results of \`npm run bench\`

- commit ${commit()}, ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC
- ${machine()}; client and servers share it; load average when it began and ended: ${setting.load}
${setting.busy ? '- **the machine was busy with other work: these figures say little**\n' : ''}- Arka as \`npm start\` runs it, Node ${process.versions.node}; ${setting.postgres}; fsync on in both, on the same disk
- median [lowest–highest] of ${setting.rounds} rounds of ${setting.seconds} s, the systems in turn, each round on a fresh table with a primary key
- every figure stands only after count, min(id), max(id) and sum(v) of the table were what had been acknowledged

${line(HEAD)}
${line(HEAD.map(() => '---'))}
${results.map((result) => line(cells(result))).join('\n')}

Cores are CPU seconds a second: of the system (all threads; PostgreSQL's backends, checkpointer and writers) and of the client, first for
Arka, then for PostgreSQL; \`µs a row\` is the system's share. Latencies are in the row's unit; \`sentLate\` is how late the client itself was, and is contained in them.
`;
}
