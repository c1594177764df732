/**
 * `npm run matrix`: the table of clients in README.md, from the newest results of `COMPAT=all npm run test:compat -- clients` on
 * this machine. @throws when a client has none: a row that nobody tried is none
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { matrixTable, withMatrix } from '../test/compat/clients/matrix.ts';
import { CLIENTS } from '../test/compat/clients/registry.ts';
import { keptResult } from '../test/compat/clients/result.ts';

const readme = join(import.meta.dirname, '..', 'README.md');
const rows = CLIENTS.map(({ name }) => {
  const result = keptResult(name);
  if (result === null) throw new Error(`${name} was never tried here: COMPAT=all npm run test:compat -- clients`);
  return { name, result };
});
writeFileSync(readme, withMatrix(readFileSync(readme, 'utf8'), matrixTable(rows)));
