/** The name PostgreSQL gives a result column without AS (FigureColname): DuckDB's own names differ. */
import type { Node } from 'libpg-query';
import { stringOf, stringsOf } from './ast.ts';

export function columnName(node: Node): string {
  return figure(node)?.name ?? '?column?';
}

/** `strong`: from a column, function or the like; a type's name is weak and gives way. */
function figure(node: Node | undefined): { readonly name: string; readonly strong: boolean } | null {
  if (node === undefined) return null;
  const strong = (name: string | undefined): { name: string; strong: boolean } | null =>
    name === undefined || name === '' ? null : { name, strong: true };
  if ('ColumnRef' in node) return strong(lastString(node.ColumnRef.fields));
  if ('A_Indirection' in node)
    return strong(lastString(node.A_Indirection.indirection)) ?? figure(node.A_Indirection.arg);
  if ('FuncCall' in node) return strong(stringsOf(node.FuncCall.funcname).at(-1));
  if ('A_Expr' in node) return node.A_Expr.kind === 'AEXPR_NULLIF' ? strong('nullif') : null;
  if ('TypeCast' in node) {
    const inner = figure(node.TypeCast.arg);
    if (inner !== null && inner.strong) return inner;
    return { name: stringsOf(node.TypeCast.typeName?.names).at(-1) ?? '', strong: false };
  }
  if ('CollateClause' in node) return figure(node.CollateClause.arg);
  if ('GroupingFunc' in node) return strong('grouping');
  if ('SubLink' in node) return subLinkName(node.SubLink.subLinkType ?? '', node.SubLink.subselect);
  if ('CaseExpr' in node) {
    const inner = figure(node.CaseExpr.defresult);
    return inner !== null && inner.strong ? inner : { name: 'case', strong: false };
  }
  if ('A_ArrayExpr' in node) return strong('array');
  if ('RowExpr' in node) return strong('row');
  if ('CoalesceExpr' in node) return strong('coalesce');
  if ('MinMaxExpr' in node) return strong(node.MinMaxExpr.op === 'IS_GREATEST' ? 'greatest' : 'least');
  if ('SQLValueFunction' in node)
    return strong((node.SQLValueFunction.op ?? '').replace('SVFOP_', '').replace(/_N$/, '').toLowerCase());
  return null;
}

function lastString(fields: readonly Node[] | undefined): string | undefined {
  const names = (fields ?? []).filter((field) => 'String' in field).map(stringOf);
  return names.at(-1);
}

function subLinkName(kind: string, subselect: Node | undefined): { name: string; strong: boolean } | null {
  if (kind === 'EXISTS_SUBLINK') return { name: 'exists', strong: true };
  if (kind === 'ARRAY_SUBLINK') return { name: 'array', strong: true };
  if (kind !== 'EXPR_SUBLINK' || subselect === undefined || !('SelectStmt' in subselect)) return null;
  const target = subselect.SelectStmt.targetList?.[0];
  if (target === undefined || !('ResTarget' in target)) return null;
  if (target.ResTarget.name !== undefined && target.ResTarget.name !== '')
    return { name: target.ResTarget.name, strong: true };
  return figure(target.ResTarget.val);
}
