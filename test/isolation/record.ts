// Writes PostgreSQL's answers into the scripts of this folder: a step is marked "(a waits)" by hand.
// Run: ARKA_TEST_POSTGRES=postgresql://postgres@127.0.0.1:5432/postgres node test/isolation/record.ts [name.script …]
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseScripts, play, stepText } from './script.ts';

const url = process.env['ARKA_TEST_POSTGRES'];
if (url === undefined) throw new Error('ARKA_TEST_POSTGRES names a PostgreSQL server');
const names = process.argv.slice(2);
const folder = import.meta.dirname;
for (const name of names.length > 0 ? names : readdirSync(folder).filter((each) => each.endsWith('.script'))) {
  const path = join(folder, name);
  const out: string[] = [];
  for (const scenario of parseScripts(readFileSync(path, 'utf8'))) {
    out.push(`# ${scenario.title}`);
    const answers = await play(url, scenario);
    scenario.steps.forEach((step, i) => out.push(stepText(step), ...answers[i]!, ...step.own));
    out.push('');
  }
  writeFileSync(path, out.join('\n'));
}
