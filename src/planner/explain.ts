/** EXPLAIN and its options; the formats are text and JSON. */
import type { ExplainStmt } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { at, defElemBoolean, defElemText } from './ast.ts';
import type { Statement } from './plan.ts';

const ACCEPTED: ReadonlySet<string> = new Set([
  'verbose',
  'costs',
  'settings',
  'buffers',
  'wal',
  'timing',
  'summary',
  'memory',
  'generic_plan',
  'serialize',
]);

const EXPLAINED: ReadonlySet<Statement['kind']> = new Set([
  'query',
  'insert',
  'update',
  'delete',
  'merge',
  'with',
  'execute',
]);

export function planExplain(statement: ExplainStmt, planInner: (node: unknown) => Statement): Statement {
  let analyze = false;
  let format: 'text' | 'json' = 'text';
  for (const option of statement.options ?? []) {
    if (!('DefElem' in option)) continue;
    const { defname = '', arg, location } = option.DefElem;
    if (defname === 'analyze') analyze = defElemBoolean('analyze', arg);
    else if (defname === 'format') {
      format = formatOf(defElemText(arg) ?? '', location);
    } else if (!ACCEPTED.has(defname))
      throw new SqlError(SqlState.syntaxError, `unrecognized EXPLAIN option "${defname}"`, at(location));
  }
  const inner = planInner(statement.query);
  if (!EXPLAINED.has(inner.kind)) throw notSupported('EXPLAIN of this statement');
  if (analyze && inner.kind === 'with' && inner.main.kind === 'query')
    throw notSupported('EXPLAIN ANALYZE of a SELECT whose WITH writes');
  return { kind: 'explain', analyze, format, inner };
}

/** @throws {SqlError} 22023 for a format that there is not, 0A000 for one that is not here */
function formatOf(given: string, location: number | undefined): 'text' | 'json' {
  const format = given.toLowerCase();
  if (format === 'text' || format === 'json') return format;
  if (format === 'xml' || format === 'yaml')
    throw notSupported(`EXPLAIN (FORMAT ${format.toUpperCase()})`, at(location));
  throw new SqlError(
    SqlState.invalidParameterValue,
    `unrecognized value for EXPLAIN option "format": "${given}"`,
    at(location),
  );
}
