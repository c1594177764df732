/** What a scenario has said, and where the newest answer of each client is kept for the matrix of the README. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

export interface ClientResult {
  readonly client: string;
  readonly version: string;
  readonly passed: readonly string[];
  /** Check → why. */
  readonly failed: Readonly<Record<string, string>>;
}

/** @throws when a line is none of a scenario's, or none says the version */
export function parseResult(output: string): ClientResult {
  const lines = output.split('\n').filter((line) => line !== '');
  const head = /^client (.+) (\S+)$/.exec(lines[0] ?? '');
  if (head === null) throw new Error(`the scenario does not begin with its client: ${lines[0] ?? '(nothing)'}`);
  const passed: string[] = [];
  const failed: Record<string, string> = {};
  for (const line of lines.slice(1)) {
    const found = /^(not )?ok (.*)$/.exec(line);
    if (found === null) throw new Error(`no line of a scenario: ${line}`);
    const [, not, rest] = found;
    if (not === undefined) passed.push(rest!);
    else {
      const [name, ...why] = rest!.split(': ');
      failed[name!] = why.join(': ');
    }
  }
  return { client: head[1]!, version: head[2]!, passed, failed };
}

const kept = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'arka-compat', 'results');

export function keepResult(name: string, result: ClientResult): void {
  mkdirSync(kept, { recursive: true });
  writeFileSync(join(kept, `${name}.json`), JSON.stringify(result));
}

/** Null: never tried here. */
export function keptResult(name: string): ClientResult | null {
  try {
    return JSON.parse(readFileSync(join(kept, `${name}.json`), 'utf8')) as ClientResult;
  } catch {
    return null;
  }
}
