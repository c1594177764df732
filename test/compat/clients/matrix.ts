/** The table of clients in README.md: written from results, and read again by the test that every client has its row. */
import { KNOWN } from './registry.ts';
import type { ClientResult } from './result.ts';

const BEGIN = '<!-- matrix of clients: npm run matrix -->';
const END = '<!-- end of the matrix -->';
const HEAD = '| client | version | checks | passed | what is missing |\n|---|---|---|---|---|';

export function matrixTable(rows: readonly { readonly name: string; readonly result: ClientResult }[]): string {
  const lines = rows.map(({ name, result: { client, version, passed, failed } }) => {
    const misses = Object.keys(failed);
    const missing = new Set(misses.map((check) => KNOWN[name]?.[check] ?? `fails: ${check}`));
    const count = passed.length + misses.length;
    return `| ${client} | ${version} | ${count} | ${passed.length} | ${[...missing].join('; ')} |`;
  });
  return [HEAD, ...lines].join('\n');
}

/** @throws when the markers are not there, each once */
export function withMatrix(readme: string, table: string): string {
  const [before, rest, ...more] = readme.split(`${BEGIN}\n`);
  const [, after, ...others] = rest?.split(`${END}\n`) ?? [];
  if (before === undefined || after === undefined || more.length > 0 || others.length > 0)
    throw new Error('README.md has no place for the matrix');
  return `${before}${BEGIN}\n${table}\n${END}\n${after}`;
}

export interface MatrixRow {
  readonly client: string;
  readonly version: string;
  readonly checks: number;
  readonly passed: number;
  readonly missing: string;
}

/** The rows that README.md has. @throws when one is no row */
export function matrixRows(readme: string): MatrixRow[] {
  const table = readme.split(`${BEGIN}\n`)[1]?.split(`${END}\n`)[0] ?? '';
  const lines = table.trimEnd().split('\n');
  if (lines.slice(0, 2).join('\n') !== HEAD) throw new Error('the matrix has another head');
  return lines.slice(2).map((line) => {
    const cells = line.split('|').map((cell) => cell.trim());
    if (cells.length !== 7) throw new Error(`no row of the matrix: ${line}`);
    const [, client = '', version = '', checks, passed, missing = ''] = cells;
    return { client, version, checks: Number(checks), passed: Number(passed), missing };
  });
}
