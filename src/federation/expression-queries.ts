/** Whether a statement of the engine has a query that is part of an expression, not an item of FROM or an operand of UNION and its kin. */

const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|[A-Za-z_]\w*|[(),]/g;
const SET_OPERATIONS: ReadonlySet<string> = new Set(['UNION', 'EXCEPT', 'INTERSECT']);
/** A query behind them in FROM is an item of it. */
const BEFORE_ITEM: ReadonlySet<string> = new Set(['FROM', 'JOIN', 'LATERAL', ',']);
const AFTER_FROM: ReadonlySet<string> = new Set(['WHERE', 'GROUP', 'HAVING', 'ORDER', 'LIMIT', 'WINDOW', 'QUALIFY']);

/** What stands in one pair of parentheses. */
interface Level {
  /** A query here is no part of an expression. */
  readonly isItem: boolean;
  isQuery: boolean;
  at: 'from' | 'on' | 'elsewhere';
}

export function hasQueryInExpression(sql: string): boolean {
  let level: Level = { isItem: true, isQuery: false, at: 'elsewhere' };
  const outer: Level[] = [];
  let [before, last] = ['', ''];
  for (const [token] of sql.matchAll(TOKEN)) {
    const word = token.toUpperCase();
    if (word === '(') {
      const isOperand = SET_OPERATIONS.has(last) || (last === 'ALL' && SET_OPERATIONS.has(before));
      const isInner = (last === '(' || last === '') && level.isItem;
      outer.push(level);
      const isItem = isOperand || isInner || (level.at === 'from' && BEFORE_ITEM.has(last));
      level = { isItem, isQuery: false, at: 'elsewhere' };
    } else if (word === ')') level = outer.pop() ?? level;
    else if (word === 'SELECT') {
      if (last === '(' && !level.isItem) return true;
      level.isQuery = true;
      level.at = 'elsewhere';
    } else if ((word === 'FROM' && last !== 'DISTINCT' && level.isQuery) || word === 'JOIN') level.at = 'from';
    else if (word === ',' && level.at === 'on') level.at = 'from';
    else if (word === 'ON' && level.at === 'from') level.at = 'on';
    else if (AFTER_FROM.has(word)) level.at = 'elsewhere';
    [before, last] = [last, word];
  }
  return false;
}
