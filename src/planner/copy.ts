/** COPY … FROM STDIN: target, columns and format. COPY … TO STDOUT: what is read, and the format. */
import type { CopyStmt, Node, RangeVar } from 'libpg-query';
import { Deparser } from 'pgsql-deparser';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { quoteIdentifier } from '../sql-text.ts';
import type { TableDef } from '../table-def.ts';
import { at, defElemBoolean, defElemText, stringsOf, walk } from './ast.ts';
import { targetColumns } from './assignments.ts';
import { writeCondition } from './duckdb/expression.ts';
import type { WrittenQuery } from './duckdb/query.ts';
import { rootScope, tableItem, type WriterContext } from './duckdb/scope.ts';
import { hasModifyingWith } from './modifying-with.ts';
import { replaceOwnFunctions } from './own-functions.ts';
import { parseSql } from './parse.ts';
import type {
  CatalogView,
  CopyFilter,
  CopyOptions,
  CopyOutOptions,
  ParsedStatement,
  PlannedTable,
  Statement,
} from './plan.ts';
import { planQuery, Renderer, type PlannerEnvironment } from './query-plan.ts';
import { checkDatabase, findTable, findView, targetTable, viewAsTarget } from './schema-names.ts';

/** @throws {SqlError} 42P01, 42703, 0A000, 22023, 42601 */
export function planCopy(
  parsed: ParsedStatement,
  statement: CopyStmt,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.is_from !== true) return planCopyOut(parsed, statement, view, environment);
  if (statement.is_program === true) throw notSupported('COPY … FROM PROGRAM');
  if ((statement.filename ?? '') !== '')
    throw notSupported('COPY from a file of the server', { hint: 'Use COPY … FROM STDIN, or \\copy in psql.' });
  const def = targetTable(statement.relation ?? {}, view, 'copy to');
  const columns = targetColumns(statement.attlist ?? [], def) ?? def.columns;
  const options = copyOptions(statement.options ?? [], false);
  const filter = copyFilter(statement.whereClause, statement.relation ?? {}, def, environment);
  // Fields of a binary row come one by one: a row may be half written when others are looked at.
  if (filter !== null && options.format === 'binary') throw notSupported('WHERE of COPY in binary format');
  return { kind: 'copyFrom', def, fieldIds: columns.map((column) => column.fieldId), filter, options };
}

function planCopyOut(
  parsed: ParsedStatement,
  statement: CopyStmt,
  view: CatalogView,
  environment: PlannerEnvironment,
): Statement {
  if (statement.is_program === true) throw notSupported('COPY … TO PROGRAM');
  if ((statement.filename ?? '') !== '')
    throw notSupported('COPY to a file of the server', { hint: 'Use COPY … TO STDOUT, or \\copy in psql.' });
  if (parsed.parameterCount > 0) throw new SqlError(SqlState.undefinedParameter, 'there is no parameter $1');
  const query = statement.query ?? tableQuery(statement.relation ?? {}, statement.attlist ?? [], view);
  if (!('SelectStmt' in query) || hasModifyingWith(query))
    throw notSupported('COPY of a statement that changes rows', { hint: 'Use a SELECT.' });
  const own = replaceOwnFunctions({ ...parsed, node: query, text: Deparser.deparse(query) }, environment.constants);
  return {
    kind: 'copyTo',
    plan: planQuery(own.node, own.text, 0, view, environment),
    options: { ...copyOptions(statement.options ?? [], true), forceQuote: forceQuote(statement.options ?? []) },
  };
}

/** COPY of a relation reads its columns, or those that are named. */
function tableQuery(relation: RangeVar, names: readonly Node[], view: CatalogView): Node {
  checkDatabase(relation);
  const def = findTable(relation, view);
  const other = findView(relation, view);
  if (other !== undefined) throw viewAsTarget(other, 'copy from', relation);
  const given =
    def === undefined ? stringsOf(names) : (targetColumns(names, def) ?? def.columns).map((column) => column.name);
  const columns = given.length === 0 ? '*' : given.map(quoteIdentifier).join(', ');
  const schema = def?.schema ?? relation.schemaname ?? '';
  const from = `${schema === '' ? '' : `${quoteIdentifier(schema)}.`}${quoteIdentifier(relation.relname ?? '')}`;
  return parseSql(`SELECT ${columns} FROM ${from}`)[0]!.node as Node;
}

function forceQuote(nodes: readonly Node[]): CopyOutOptions['forceQuote'] {
  for (const node of nodes) {
    if (!('DefElem' in node) || node.DefElem.defname !== 'force_quote') continue;
    const { arg } = node.DefElem;
    return arg !== undefined && 'List' in arg ? stringsOf(arg.List.items) : 'all';
  }
  return [];
}

/** WHERE of COPY FROM: a query over rows that were read, which gives the positions of those to keep. */
function copyFilter(
  where: Node | undefined,
  relation: RangeVar,
  def: TableDef,
  environment: PlannerEnvironment,
): CopyFilter | null {
  if (where === undefined) return null;
  walk(where, (tag) => {
    if (tag === 'SubLink') throw notSupported('a subquery in WHERE of COPY FROM');
  });
  const rows: PlannedTable = { def, placeholder: environment.placeholder(), positions: true };
  const alias = relation.relname ?? '';
  const write = (context: WriterContext): WrittenQuery => {
    const scope = { ...rootScope(context), items: [tableItem(rows, alias, def.schema, [])] };
    const quoted = quoteIdentifier(alias);
    const from = `${quoteIdentifier(rows.placeholder)} AS ${quoted}`;
    const condition = writeCondition(where, scope, 'WHERE');
    return { sql: `SELECT ${quoted}."__position" FROM ${from} WHERE ${condition}`, outputs: null };
  };
  const renderer = new Renderer(new Map([[rows, rows]]), [], false, write, null);
  renderer.render([]); // its errors come before the client sends rows
  return {
    rows: rows.placeholder,
    plan: renderer.plan(),
  };
}

function copyOptions(nodes: readonly Node[], out: boolean): CopyOptions {
  const given = new Map<string, { arg: Node | undefined; location: number | undefined }>();
  for (const node of nodes) {
    if (!('DefElem' in node)) continue;
    const { defname = '', arg, location } = node.DefElem;
    if (given.has(defname)) throw new SqlError(SqlState.syntaxError, 'conflicting or redundant options', at(location));
    given.set(defname, { arg, location });
  }
  const text = (name: string): string | undefined =>
    given.has(name) ? (defElemText(given.get(name)!.arg) ?? '') : undefined;
  const format = text('format') ?? 'text';
  if (format !== 'text' && format !== 'csv' && format !== 'binary') {
    throw new SqlError(
      SqlState.invalidParameterValue,
      `COPY format "${format}" not recognized`,
      at(given.get('format')?.location),
    );
  }
  for (const [name, { arg, location }] of given) {
    if (name === 'force_quote' && out) {
      if (format !== 'csv') throw notSupported('COPY option FORCE_QUOTE outside CSV', at(location));
    } else checkOption(name, arg, location);
  }
  const options: CopyOptions = {
    format,
    delimiter: text('delimiter') ?? (format === 'csv' ? ',' : '\t'),
    null: text('null') ?? (format === 'csv' ? '' : '\\N'),
    header: given.has('header') && headerOption(given.get('header')!.arg),
    quote: text('quote') ?? '"',
    escape: text('escape') ?? text('quote') ?? '"',
  };
  checkCharacters(options, given);
  return options;
}

const KNOWN: ReadonlySet<string> = new Set(['format', 'delimiter', 'null', 'header', 'quote', 'escape']);

function checkOption(name: string, arg: Node | undefined, location: number | undefined): void {
  if (KNOWN.has(name)) return;
  const value = (defElemText(arg) ?? 'true').toLowerCase();
  switch (name) {
    case 'freeze':
      return; // a hint about visibility that changes no row
    case 'encoding':
      if (/^utf-?8$/.test(value)) return;
      throw notSupported(`COPY with encoding "${value}"`, at(location));
    case 'on_error':
      if (value === 'stop') return;
      break;
    case 'log_verbosity':
      return;
    case 'force_null':
    case 'force_not_null':
    case 'force_quote':
    case 'default':
    case 'reject_limit':
      break;
    default:
      throw new SqlError(SqlState.syntaxError, `option "${name}" not recognized`, at(location));
  }
  throw notSupported(`COPY option ${name.toUpperCase()}`, at(location));
}

function headerOption(arg: Node | undefined): boolean {
  if (defElemText(arg)?.toLowerCase() === 'match') throw notSupported('COPY option HEADER MATCH');
  return defElemBoolean('header', arg);
}

function checkCharacters(options: CopyOptions, given: ReadonlyMap<string, unknown>): void {
  const refuse = (message: string): never => {
    throw new SqlError(SqlState.invalidParameterValue, message);
  };
  const { format, delimiter, quote, escape } = options;
  if (format === 'binary') {
    for (const name of ['delimiter', 'null', 'header'])
      if (given.has(name))
        throw new SqlError(SqlState.syntaxError, `cannot specify ${name.toUpperCase()} in BINARY mode`);
  }
  if (format !== 'csv') {
    if (given.has('quote')) throw notSupported('COPY option QUOTE outside CSV');
    if (given.has('escape')) throw notSupported('COPY option ESCAPE outside CSV');
  }
  if (Buffer.byteLength(delimiter) !== 1)
    throw notSupported('a COPY delimiter that is not a single one-byte character');
  if (delimiter === '\n' || delimiter === '\r') refuse('COPY delimiter cannot be newline or carriage return');
  if (options.null.includes('\n') || options.null.includes('\r'))
    refuse('COPY null representation cannot use newline or carriage return');
  if (format === 'text' && /[\\.a-z0-9]/.test(delimiter)) refuse(`COPY delimiter cannot be "${delimiter}"`);
  if (Buffer.byteLength(quote) !== 1) throw notSupported('a COPY quote that is not a single one-byte character');
  if (Buffer.byteLength(escape) !== 1) throw notSupported('a COPY escape that is not a single one-byte character');
  if (format === 'csv' && delimiter === quote) refuse('COPY delimiter and quote must be different');
  if (format !== 'binary' && options.null.includes(delimiter))
    refuse('COPY delimiter character must not appear in the NULL specification');
  if (format === 'csv' && options.null.includes(quote))
    refuse('CSV quote character must not appear in the NULL specification');
}
