/** EXPLAIN (FORMAT JSON): the lines of the text form as the tree that their indentation is, with the keys that PostgreSQL's clients look for. */

interface PlanNode {
  'Node Type': string;
  [key: string]: unknown;
}
/** Before the result: how far in it stands. */
interface Placed {
  readonly indent: number;
  readonly node: PlanNode;
}

/** One document, as PostgreSQL lays it out. */
export function explainedJson(lines: readonly string[]): string {
  const roots: PlanNode[] = [];
  const rest: Record<string, unknown> = {};
  const open: Placed[] = [];
  for (const line of lines) {
    const fact = /^(Result|Execution Time): (.*?)( ms)?$/.exec(line);
    if (fact !== null) {
      rest[fact[1]!] = fact[3] === undefined ? fact[2] : Number(fact[2]);
      continue;
    }
    const indent = line.search(/\S/);
    const text = line.trim();
    while (open.length > 0 && open.at(-1)!.indent >= indent) open.pop();
    const above = open.at(-1)?.node;
    if (above !== undefined && /^(read|pruned): |^… and /.test(text)) {
      (above['Unit List'] = (above['Unit List'] as string[] | undefined) ?? []).push(text);
      continue;
    }
    const node = nodeOf(text);
    if (above === undefined) roots.push(node);
    else (above['Plans'] = (above['Plans'] as PlanNode[] | undefined) ?? []).push(node);
    open.push({ indent, node });
  }
  return JSON.stringify([{ Plan: joined(roots), ...rest }], null, 2);
}

/** `->  Disk Scan (tier=disk units=1 …)`: what it is called, and its facts. */
function nodeOf(text: string): PlanNode {
  const [, label, facts] = /^(?:->\s+)?(.*?)(?: \(((?:\w+=\S+ ?)+)\))?$/.exec(text)!;
  const node: PlanNode = { 'Node Type': label! };
  for (const fact of facts?.split(' ') ?? []) {
    const [name = '', value = ''] = fact.split('=');
    node[name[0]!.toUpperCase() + name.slice(1)] = /^\d+$/.test(value) ? Number(value) : value;
  }
  return node;
}

/** The parts of a WITH stand before the statement, as plans of its own. */
function joined(roots: readonly PlanNode[]): PlanNode {
  const main = roots.at(-1) ?? { 'Node Type': 'Result' };
  const before = roots.slice(0, -1).map((node) => ({ ...node, 'Parent Relationship': 'InitPlan' }));
  if (before.length === 0) return main;
  return { ...main, Plans: [...before, ...((main['Plans'] as PlanNode[] | undefined) ?? [])] };
}
