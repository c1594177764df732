/**
 * Reading libpg-query's trees: a node is an object with one key, its tag. Fields that protobuf leaves out are
 * absent: 0, false, '' and location 0 alike.
 *
 * Locations are code point offsets into the whole text (parse.ts turns bytes into them), so position = location + 1.
 */
import type { IntoClause, Node } from 'libpg-query';
import { SqlError, SqlState, notSupported, type SqlErrorFields } from '../errors.ts';

export function tagOf(node: Node): string {
  for (const tag in node) return tag;
  return '';
}

/** The text of a String node; '' for anything else. */
export function stringOf(node: Node | undefined): string {
  return node !== undefined && 'String' in node ? (node.String.sval ?? '') : '';
}

export function stringsOf(nodes: readonly Node[] | undefined): string[] {
  return (nodes ?? []).map(stringOf);
}

/** The last part of a possibly qualified name, without `pg_catalog`. A name in another schema keeps it. */
export function plainName(nodes: readonly Node[] | undefined): string {
  const parts = stringsOf(nodes);
  return parts.length > 1 && parts[0] === 'pg_catalog' ? parts.slice(1).join('.') : parts.join('.');
}

/** Where a node begins, or undefined; a location field that is absent means 0, -1 unknown. */
export function locationOf(node: Node | undefined): number | undefined {
  if (node === undefined) return undefined;
  const body = (node as unknown as Record<string, Record<string, unknown>>)[tagOf(node)];
  const location = body?.['location'];
  if (typeof location === 'number') return location < 0 ? locationOf(body?.['arg'] as Node | undefined) : location;
  return typeof body?.['lexpr'] === 'object' ? locationOf(body['lexpr'] as Node) : undefined;
}

/** The position field of an error at a node: 1-based, left out where unknown. */
export function at(location: number | undefined): SqlErrorFields {
  return location === undefined || location < 0 ? {} : { position: location + 1 };
}

export function atNode(node: Node | undefined): SqlErrorFields {
  return at(locationOf(node));
}

/** Calls `visit` for each node below `value`, parents first; answer false to skip what is inside. */
export function walk(value: unknown, visit: (tag: string, body: Record<string, unknown>) => boolean | void): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) walk(item, visit);
    return;
  }
  for (const key in value) {
    const inner = (value as Record<string, unknown>)[key];
    if (typeof inner !== 'object' || inner === null) continue;
    const first = key.charCodeAt(0);
    if (first >= 65 && first <= 90 && !Array.isArray(inner)) {
      if (visit(key, inner as Record<string, unknown>) !== false) walk(inner, visit);
    } else {
      walk(inner, visit);
    }
  }
}

/** The one value a DefElem carries, as text; null when it has none. */
export function defElemText(argument: Node | undefined): string | null {
  if (argument === undefined) return null;
  if ('String' in argument) return argument.String.sval ?? '';
  if ('Integer' in argument) return String(argument.Integer.ival ?? 0);
  if ('Float' in argument) return argument.Float.fval ?? '0';
  if ('Boolean' in argument) return String(argument.Boolean.boolval ?? false);
  if ('TypeName' in argument) return plainName(argument.TypeName.names);
  if ('A_Const' in argument) return constantText(argument);
  return null;
}

/** A constant's text as written: numbers as digits, booleans as true and false; null for NULL or no constant. */
export function constantText(node: Node): string | null {
  if (!('A_Const' in node)) return null;
  const constant = node.A_Const as {
    isnull?: boolean;
    ival?: { ival?: number };
    fval?: { fval?: string };
    sval?: { sval?: string };
    boolval?: { boolval?: boolean };
    bsval?: { bsval?: string };
  };
  if (constant.isnull === true) return null;
  if (constant.ival !== undefined) return String(constant.ival.ival ?? 0);
  if (constant.fval !== undefined) return constant.fval.fval ?? '0';
  if (constant.sval !== undefined) return constant.sval.sval ?? '';
  if (constant.boolval !== undefined) return String(constant.boolval.boolval ?? false);
  return constant.bsval?.bsval ?? null;
}

export type ConstantKind = 'integer' | 'decimal' | 'string' | 'boolean' | 'null' | 'bits';
export function constantKind(node: Node): ConstantKind | undefined {
  if (!('A_Const' in node)) return undefined;
  const constant = node.A_Const;
  if (constant.isnull === true) return 'null';
  if (constant.ival !== undefined) return 'integer';
  if (constant.fval !== undefined) return 'decimal';
  if (constant.boolval !== undefined) return 'boolean';
  return constant.bsval !== undefined ? 'bits' : 'string';
}

/** A boolean option's text (true, on, 1, yes and so on), as defGetBoolean reads it; absent means true. */
export function defElemBoolean(name: string, argument: Node | undefined): boolean {
  const text = defElemText(argument)?.toLowerCase();
  if (text === undefined || text === 'true' || text === 'on' || text === '1') return true;
  if (text === 'false' || text === 'off' || text === '0') return false;
  throw new SqlError(SqlState.syntaxError, `${name} requires a Boolean value`);
}

/** A cast to a type of pg_catalog. */
export function castTo(arg: Node, type: string, more: object = {}): Node {
  const typeName = { names: [stringNode('pg_catalog'), stringNode(type)], typemod: -1, ...more };
  return { TypeCast: { arg, typeName } } as unknown as Node;
}

export function stringNode(sval: string): Node {
  return { String: { sval } } as Node;
}

/** `alias.name` */
export function columnNode(alias: string, name: string): Node {
  return { ColumnRef: { fields: [stringNode(alias), stringNode(name)] } } as Node;
}

export function unsupported(what: string, node?: Node): SqlError {
  return notSupported(what, atNode(node));
}

/** INTO of a SELECT that is part of another statement: 42601. */
export function misplacedInto({ rel }: IntoClause): SqlError {
  return new SqlError(SqlState.syntaxError, 'SELECT ... INTO is not allowed here', at(rel?.location));
}
