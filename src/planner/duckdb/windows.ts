/** WINDOW definitions: partition, order, and the frame from PostgreSQL's option bits (FRAMEOPTION_*). */
import { quoteIdentifier } from '../../sql-text.ts';
import type { Node, WindowDef } from 'libpg-query';
import { notSupported } from '../../errors.ts';
import { writeExpression, writeSort } from './expression.ts';
import { atNode } from '../ast.ts';
import { checkComparable } from './operators.ts';
import { apart, orderKey } from './sort-keys.ts';
import type { Scope } from './scope.ts';

const Frame = {
  nonDefault: 0x1,
  range: 0x2,
  rows: 0x4,
  groups: 0x8,
  startUnbounded: 0x20,
  endUnbounded: 0x100,
  startCurrent: 0x200,
  endCurrent: 0x400,
  startPreceding: 0x800,
  endPreceding: 0x1000,
  startFollowing: 0x2000,
  endFollowing: 0x4000,
  excludeCurrent: 0x8000,
  excludeGroup: 0x10000,
  excludeTies: 0x20000,
} as const;

/** DuckDB adds an offset to the number of the row; no partition has more of them. */
const OFFSET_MAX = 2 ** 53;

export function writeWindow(window: WindowDef, scope: Scope): string {
  const parts: string[] = [];
  if (window.refname !== undefined && window.refname !== '') parts.push(quoteIdentifier(window.refname));
  if (window.partitionClause !== undefined)
    parts.push(`PARTITION BY ${window.partitionClause.map((node) => partitionKey(node, scope)).join(', ')}`);
  if (window.orderClause !== undefined)
    parts.push(`ORDER BY ${window.orderClause.map((node) => writeSort(node, scope)).join(', ')}`);
  const frame = writeFrame(window, scope);
  if (frame !== '') parts.push(frame);
  return parts.join(' ');
}

function partitionKey(node: Node, scope: Scope): string {
  const value = writeExpression(node, scope);
  checkComparable(value, atNode(node));
  return orderKey(apart(value));
}

function writeFrame(window: WindowDef, scope: Scope): string {
  const options = window.frameOptions ?? 0;
  if ((options & Frame.nonDefault) === 0) return '';
  const mode = (options & Frame.rows) !== 0 ? 'ROWS' : (options & Frame.groups) !== 0 ? 'GROUPS' : 'RANGE';
  const offset = (node: WindowDef['startOffset']): string => {
    if (mode === 'RANGE') throw notSupported('RANGE with an offset over Arka tables');
    const { sql, constant } = writeExpression(node!, scope);
    if (typeof constant === 'string' && Number(constant) >= 0 && Number(constant) <= OFFSET_MAX) return sql;
    const which = node === window.startOffset ? 'starting' : 'ending';
    const refused = [
      `WHEN ${sql} IS NULL THEN error('22004: frame ${which} offset must not be null')`,
      `WHEN ${sql} < 0 THEN error('22013: frame ${which} offset must not be negative')`,
    ];
    return `CASE ${refused.join(' ')} ELSE least(${sql}, ${OFFSET_MAX}) END`;
  };
  const start =
    (options & Frame.startUnbounded) !== 0
      ? 'UNBOUNDED PRECEDING'
      : (options & Frame.startCurrent) !== 0
        ? 'CURRENT ROW'
        : `${offset(window.startOffset)} ${(options & Frame.startPreceding) !== 0 ? 'PRECEDING' : 'FOLLOWING'}`;
  const end =
    (options & Frame.endUnbounded) !== 0
      ? 'UNBOUNDED FOLLOWING'
      : (options & Frame.endCurrent) !== 0
        ? 'CURRENT ROW'
        : `${offset(window.endOffset)} ${(options & Frame.endPreceding) !== 0 ? 'PRECEDING' : 'FOLLOWING'}`;
  const exclude =
    (options & Frame.excludeCurrent) !== 0
      ? ' EXCLUDE CURRENT ROW'
      : (options & Frame.excludeGroup) !== 0
        ? ' EXCLUDE GROUP'
        : (options & Frame.excludeTies) !== 0
          ? ' EXCLUDE TIES'
          : '';
  return `${mode} BETWEEN ${start} AND ${end}${exclude}`;
}
