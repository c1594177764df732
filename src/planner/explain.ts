/** EXPLAIN and its options; text is the only format. */
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
  for (const option of statement.options ?? []) {
    if (!('DefElem' in option)) continue;
    const { defname = '', arg, location } = option.DefElem;
    if (defname === 'analyze') analyze = defElemBoolean('analyze', arg);
    else if (defname === 'format') {
      const format = defElemText(arg)?.toLowerCase() ?? '';
      if (format !== 'text') throw notSupported(`EXPLAIN (FORMAT ${format.toUpperCase()})`, at(location));
    } else if (!ACCEPTED.has(defname))
      throw new SqlError(SqlState.syntaxError, `unrecognized EXPLAIN option "${defname}"`, at(location));
  }
  const inner = planInner(statement.query);
  if (!EXPLAINED.has(inner.kind)) throw notSupported('EXPLAIN of this statement');
  if (analyze && inner.kind === 'with' && inner.main.kind === 'query')
    throw notSupported('EXPLAIN ANALYZE of a SELECT whose WITH writes');
  return { kind: 'explain', analyze, inner };
}
