/** What stands in WITH (…) of COPY: how the data are written, and PostgreSQL's words for what does not go together. */
import type { Node } from 'libpg-query';
import { SqlError, SqlState, notSupported } from '../errors.ts';
import { encodingName } from '../types/client-encoding.ts';
import type { ColumnDef, TableDef } from '../table-def.ts';
import { at, defElemText, stringsOf } from './ast.ts';
import { targetColumns } from './assignments.ts';
import type { CopyInOptions, CopyOptions, CopyOutOptions } from './plan.ts';

interface Given {
  readonly arg: Node | undefined;
  readonly location: number | undefined;
}

/** @param columns those of the rows @throws {SqlError} 0A000, 22023, 42601, 42703, 42P10 */
export function copyInOptions(nodes: readonly Node[], def: TableDef, columns: readonly ColumnDef[]): CopyInOptions {
  const { options, given } = copyOptions(nodes, false);
  return {
    ...options,
    forceNull: forced('null', given, options, def, columns),
    forceNotNull: forced('not_null', given, options, def, columns),
  };
}

/** @throws {SqlError} 0A000, 22023, 42601 */
export function copyOutOptions(nodes: readonly Node[]): CopyOutOptions {
  const { options } = copyOptions(nodes, true);
  if (options.header === 'match') throw lacks('cannot use "match" with HEADER in COPY TO');
  return { ...options, header: options.header, forceQuote: forceQuote(nodes) };
}

function copyOptions(
  nodes: readonly Node[],
  out: boolean,
): { options: CopyOptions; given: ReadonlyMap<string, Given> } {
  const given = new Map<string, Given>();
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
      if (format !== 'csv') throw lacks('COPY force quote available only in CSV mode');
    } else checkOption(name, arg, location, out);
  }
  const options: CopyOptions = {
    format,
    delimiter: text('delimiter') ?? (format === 'csv' ? ',' : '\t'),
    null: text('null') ?? (format === 'csv' ? '' : '\\N'),
    header: given.has('header') && headerOption(given.get('header')!.arg),
    quote: text('quote') ?? '"',
    escape: text('escape') ?? text('quote') ?? '"',
    freeze: given.has('freeze') && isFrozen(given.get('freeze')!.arg),
    encoding: given.has('encoding') ? namedEncoding(given.get('encoding')!) : null,
  };
  checkCharacters(options, given);
  return { options, given };
}

const KNOWN: ReadonlySet<string> = new Set([
  'format',
  'delimiter',
  'null',
  'header',
  'quote',
  'escape',
  'encoding',
  'freeze',
]);

function checkOption(name: string, arg: Node | undefined, location: number | undefined, out: boolean): void {
  if (KNOWN.has(name)) return;
  const value = (defElemText(arg) ?? 'true').toLowerCase();
  switch (name) {
    case 'on_error':
      if (value === 'stop') return;
      break;
    case 'log_verbosity':
      return;
    case 'force_null':
    case 'force_not_null':
      if (!out) return;
      throw lacks(`COPY ${name.replaceAll('_', ' ')} only available using COPY FROM`);
    case 'force_quote':
      throw lacks('COPY force quote only available using COPY TO');
    case 'default':
    case 'reject_limit':
      break;
    default:
      throw new SqlError(SqlState.syntaxError, `option "${name}" not recognized`, at(location));
  }
  throw notSupported(`COPY option ${name.toUpperCase()}`, at(location));
}

function namedEncoding({ arg, location }: Given): string {
  const text = defElemText(arg) ?? '';
  const name = encodingName(text);
  if (name === null) throw notSupported(`COPY with encoding "${text}"`, at(location));
  if (name !== undefined) return name;
  const message = 'argument to option "encoding" must be a valid encoding name';
  throw new SqlError(SqlState.invalidParameterValue, message, at(location));
}

/** A hint about visibility that changes no row: only whether it may stand there is asked. */
function isFrozen(arg: Node | undefined): boolean {
  const text = defElemText(arg)?.toLowerCase() ?? 'true';
  if (/^(?:true|on|1)$/.test(text)) return true;
  if (/^(?:false|off|0)$/.test(text)) return false;
  throw new SqlError(SqlState.syntaxError, 'freeze requires a Boolean value');
}

function headerOption(arg: Node | undefined): boolean | 'match' {
  const text = defElemText(arg)?.toLowerCase() ?? 'true';
  if (text === 'match') return 'match';
  if (/^(?:true|on|1)$/.test(text)) return true;
  if (/^(?:false|off|0)$/.test(text)) return false;
  throw new SqlError(SqlState.syntaxError, 'header requires a Boolean value or "match"');
}

/** Places among the row's fields of the columns that are named. */
function forced(
  what: 'null' | 'not_null',
  given: ReadonlyMap<string, Given>,
  { format }: CopyOptions,
  def: TableDef,
  columns: readonly ColumnDef[],
): CopyInOptions['forceNull'] {
  const option = `force_${what}`;
  const arg = given.get(option)?.arg;
  if (!given.has(option)) return null;
  if (format !== 'csv') throw lacks(`COPY ${option.replaceAll('_', ' ')} available only in CSV mode`);
  if (arg === undefined || !('List' in arg)) return new Set(columns.keys());
  const named = targetColumns(arg.List.items ?? [], def) ?? [];
  const places = named.map((column) => {
    const place = columns.indexOf(column);
    if (place >= 0) return place;
    const message = `${option.toUpperCase()} column "${column.name}" not referenced by COPY`;
    throw new SqlError(SqlState.invalidColumnReference, message);
  });
  return new Set(places);
}

const lacks = (message: string): SqlError => new SqlError(SqlState.featureNotSupported, message);

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
    for (const name of ['quote', 'escape']) if (given.has(name)) throw lacks(`COPY ${name} available only in CSV mode`);
  }
  if (Buffer.byteLength(delimiter) !== 1) throw lacks('COPY delimiter must be a single one-byte character');
  if (delimiter === '\n' || delimiter === '\r') refuse('COPY delimiter cannot be newline or carriage return');
  if (options.null.includes('\n') || options.null.includes('\r'))
    refuse('COPY null representation cannot use newline or carriage return');
  if (format === 'text' && /[\\.a-z0-9]/.test(delimiter)) refuse(`COPY delimiter cannot be "${delimiter}"`);
  if (Buffer.byteLength(quote) !== 1) throw lacks('COPY quote must be a single one-byte character');
  if (Buffer.byteLength(escape) !== 1) throw lacks('COPY escape must be a single one-byte character');
  if (format === 'csv' && delimiter === quote) refuse('COPY delimiter and quote must be different');
  if (format !== 'binary' && options.null.includes(delimiter))
    refuse('COPY delimiter character must not appear in the NULL specification');
  if (format === 'csv' && options.null.includes(quote))
    refuse('CSV quote character must not appear in the NULL specification');
}

function forceQuote(nodes: readonly Node[]): CopyOutOptions['forceQuote'] {
  for (const node of nodes) {
    if (!('DefElem' in node) || node.DefElem.defname !== 'force_quote') continue;
    const { arg } = node.DefElem;
    return arg !== undefined && 'List' in arg ? stringsOf(arg.List.items) : 'all';
  }
  return [];
}
