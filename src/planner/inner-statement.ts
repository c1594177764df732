/**
 * The statement inside PREPARE and DECLARE as one of its own: in the client's words where they can be found, so that PostgreSQL's
 * errors say where in them.
 */
import type { Node } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { walk } from './ast.ts';
import type { ParsedStatement } from './plan.ts';

const SPACE = String.raw`(?:\s|--[^\n]*\n|/\*.*?\*/)`;
const NAME = String.raw`(?:"(?:[^"]|"")*"|[^\s("]+)`;
const BEFORE = {
  prepare: new RegExp(
    String.raw`^${SPACE}*prepare${SPACE}+${NAME}${SPACE}*(?:\((?:[^()]|\([^()]*\))*\))?${SPACE}*as\b${SPACE}*`,
    'is',
  ),
  declare: new RegExp(
    String.raw`^${SPACE}*declare${SPACE}+${NAME}${SPACE}+(?:[a-z]+${SPACE}+)*?cursor${SPACE}+(?:with(?:out)?${SPACE}+hold${SPACE}+)?for\b${SPACE}*`,
    'is',
  ),
} as const;

export function innerStatement(outer: ParsedStatement, node: Node, kind: keyof typeof BEFORE): ParsedStatement {
  let parameterCount = 0;
  walk(node, (tag, body) => {
    if (tag === 'ParamRef') parameterCount = Math.max(parameterCount, (body['number'] as number | undefined) ?? 0);
  });
  const before = BEFORE[kind].exec(outer.text);
  if (before === null) return { text: Deparser.deparse(node), position: 0, node, parameterCount };
  const at = before[0].length;
  return { text: outer.text.slice(at), position: outer.position + [...before[0]].length, node, parameterCount };
}
