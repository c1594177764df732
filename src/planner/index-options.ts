/**
 * WITH (…) of CREATE INDEX: PostgreSQL's storage parameters, checked as it does. Its catalogs show them; nothing here depends
 * on them.
 */
import type { Node } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import type { IndexDef } from '../table-def.ts';
import { defElemText } from './ast.ts';

const FILLFACTOR = { min: 10, max: 100 };
const BOOLEANS: ReadonlySet<string> = new Set(['true', 'false', 'on', 'off', 'yes', 'no', '1', '0']);

/** @throws {SqlError} 22023 */
export function indexOptions(nodes: readonly Node[], method: IndexDef['method']): Readonly<Record<string, string>> {
  const options: Record<string, string> = {};
  for (const node of nodes) {
    if (!('DefElem' in node)) continue;
    const { defname = '', defnamespace = '', arg } = node.DefElem;
    if (defnamespace !== '') throw invalid(`unrecognized parameter namespace "${defnamespace}"`);
    const text = defElemText(arg) ?? 'true';
    if (defname === 'fillfactor') checkFillfactor(text);
    else if (defname === 'deduplicate_items' && method === 'btree') {
      if (!BOOLEANS.has(text.toLowerCase())) throw invalid(`invalid value for boolean option "${defname}": ${text}`);
    } else throw invalid(`unrecognized parameter "${defname}"`);
    if (options[defname] !== undefined) throw invalid(`parameter "${defname}" specified more than once`);
    options[defname] = text;
  }
  return options;
}

const invalid = (message: string, detail?: string): SqlError =>
  new SqlError(SqlState.invalidParameterValue, message, detail === undefined ? {} : { detail });

function checkFillfactor(text: string): void {
  const { min, max } = FILLFACTOR;
  if (!/^[+-]?\d{1,9}$/.test(text)) throw invalid(`invalid value for integer option "fillfactor": ${text}`);
  if (Number(text) < min || Number(text) > max)
    throw invalid(
      `value ${text} out of bounds for option "fillfactor"`,
      `Valid values are between "${min}" and "${max}".`,
    );
}
