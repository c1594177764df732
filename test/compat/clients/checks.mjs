// What scenarios in JavaScript share: one line a check, `ok NAME` or `not ok NAME: why`. The packages lie where COMPAT_NODE says.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const url = process.env['COMPAT_URL'];
export const schema = process.env['COMPAT_SCHEMA'];
export const require = createRequire(join(process.env['COMPAT_NODE'], 'package.json'));

/** @param {string} name as people call it @param {string} package_ as npm does */
export function client(name, package_) {
  const file = join(process.env['COMPAT_NODE'], 'node_modules', package_, 'package.json');
  say(`client ${name} ${JSON.parse(readFileSync(file, 'utf8')).version}`);
}
const say = (line) => process.stdout.write(`${line}\n`);

export async function check(name, run) {
  try {
    await run();
    say(`ok ${name}`);
  } catch (error) {
    say(`not ok ${name}: ${String(error.message).replaceAll(/\s+/g, ' ').slice(0, 600)}`);
    process.stderr.write(`${error.stack}\n`);
  }
}

/** Every type that a column may have, with a value of it as PostgreSQL writes it. */
export const columns = {
  i2: ['smallint', '-32768'],
  i4: ['integer', '2147483647'],
  i8: ['bigint', '-9223372036854775808'],
  f4: ['real', '0.1'],
  f8: ['double precision', '1e+300'],
  num: ['numeric(20,6)', '-12345678901234.567890'],
  flag: ['boolean', 't'],
  txt: ['text', 'zażółć 🦆 \\ \' "'],
  vc: ['varchar(20)', 'twenty'],
  bc: ['char(5)', 'ab   '],
  raw: ['bytea', '\\x00ff10'],
  day: ['date', '2024-02-29'],
  clock: ['time', '23:59:59.999999'],
  local: ['timestamp', '1999-12-31 23:59:59.123456'],
  instant: ['timestamptz', '2026-01-02 03:04:05.000006+00'],
  uid: ['uuid', '00112233-4455-6677-8899-aabbccddeeff'],
  jb: ['jsonb', '{"a": [1, null, "x"]}'],
  ints: ['integer[]', '{1,NULL,3}'],
  texts: ['text[]', '{a,"b c",NULL,"d\\"e"}'],
};
export const typedTable = (name) =>
  `CREATE TABLE ${name} (id integer PRIMARY KEY, ${Object.entries(columns).map(([column, [type]]) => `${column} ${type}`)})`;
