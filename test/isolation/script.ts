/**
 * Scripts of several sessions beside each other, and what PostgreSQL answers: `*.script` files in this folder, like the ones of
 * PostgreSQL's own isolation tests.
 *
 *   # title                    a scenario
 *   setup> SQL                 by a session of its own, before, its answer left out
 *   a> SQL                     a Query message of session a
 *   a| SQL ;; SQL              Parse, Bind, Execute of each, then one Sync
 *   (a waits)                  the answer comes later, other sessions go on
 *   a<                         the answer that was waited for
 *   a closed                   session a is ended by the server by itself
 *
 * The lines below a step, up to the next, are its answer. Behind `arka: REASON` stands Arka's own, where it is another.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WireClient } from './wire-client.ts';

export interface Step {
  readonly session: string;
  readonly kind: 'query' | 'pipeline' | 'answer' | 'closed' | 'setup';
  readonly text: string;
  readonly expected: readonly string[];
  /** Arka's own answer, its reason first; empty: the same. */
  readonly own: readonly string[];
}
export interface Scenario {
  readonly title: string;
  readonly steps: readonly Step[];
}

const SCHEMA = 'arka_isolation';
const KINDS = { '>': 'query', '|': 'pipeline', '<': 'answer' } as const;

export function parseScripts(text: string): Scenario[] {
  const scenarios: { title: string; steps: Step[] }[] = [];
  let expected: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('# ')) {
      scenarios.push({ title: line.slice(2), steps: [] });
      continue;
    }
    const match = /^(\w+)([>|<]) ?(.*)$/.exec(line) ?? /^(\w+) (closed)()$/.exec(line);
    if (match === null) {
      if (line.startsWith('arka:')) expected = scenarios.at(-1)!.steps.at(-1)!.own as string[];
      if (line.trim() !== '') expected.push(line);
      continue;
    }
    const [, session, mark, sql] = match;
    const kind = session === 'setup' ? 'setup' : mark === 'closed' ? 'closed' : KINDS[mark as keyof typeof KINDS];
    expected = [];
    scenarios.at(-1)!.steps.push({ session: session!, kind, text: sql!, expected, own: [] });
  }
  return scenarios;
}

export const stepText = ({ session, kind, text }: Step): string =>
  ({
    query: `${session}> ${text}`,
    setup: `setup> ${text}`,
    pipeline: `${session}| ${text}`,
    answer: `${session}<`,
    closed: `${session} closed`,
  })[kind];

/** Carries a scenario out on a server; each step's answer, in the form of the script. */
export async function play(url: string, { steps }: Scenario): Promise<string[][]> {
  const clients = new Map<string, WireClient>();
  const waiting = new Map<string, Promise<readonly string[]>>();
  const open = (): Promise<WireClient> =>
    WireClient.open(url, { search_path: SCHEMA, options: '-c deadlock_timeout=1ms' });
  const observer = await WireClient.open(url, {});
  const clientOf = async (name: string): Promise<WireClient> => {
    const known = clients.get(name) ?? (await open());
    clients.set(name, known);
    return known;
  };
  /** Another session is in its way. */
  const isBlocked = async ({ pid }: WireClient): Promise<boolean> =>
    (await observer.query(`SELECT cardinality(pg_blocking_pids(${pid}))`))[0]?.trim() !== '0';
  const answers: string[][] = [];
  try {
    await observer.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
    for (const step of steps) {
      const client = await clientOf(step.session);
      let lines: readonly string[];
      if (step.kind === 'setup') {
        const error = (await client.query(step.text)).find((line) => line.startsWith('ERROR'));
        if (error !== undefined) throw new Error(`${step.text}: ${error}`);
        lines = [];
      } else if (step.kind === 'answer') lines = await waiting.get(step.session)!;
      else if (step.kind === 'closed') lines = await client.untilClosed();
      else {
        const answer = step.kind === 'query' ? client.query(step.text) : client.pipeline(step.text.split(';;'));
        if (step.expected[0] === `(${step.session} waits)`) {
          while (!client.isIdle && !(await isBlocked(client))) await sleep(2);
          lines = client.isIdle ? await answer : [`(${step.session} waits)`];
          if (!client.isIdle) waiting.set(step.session, answer);
          await sleep(5); // PostgreSQL has looked for deadlocks by then
        } else lines = await answer;
      }
      answers.push(lines.map((line) => withoutNumbers(line, clients)));
    }
    return answers;
  } finally {
    await Promise.all([...clients.values(), observer].map((client) => client.close()));
  }
}

/** Processes by the names of their sessions, transactions and tables by none. */
function withoutNumbers(line: string, clients: ReadonlyMap<string, WireClient>): string {
  return line
    .replaceAll(/(process) (\d+)/gi, (whole: string, word: string, pid: string) => {
      const name = [...clients].find(([, client]) => client.pid === Number(pid))?.[0];
      return name === undefined ? whole : `${word} ${name}`;
    })
    .replaceAll(/transaction \d+/g, 'transaction N')
    .replaceAll(/relation \d+ of database \d+/g, 'relation N of database N');
}
