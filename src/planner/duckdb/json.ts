/**
 * Operators and functions of json and jsonb → calls of Arka's own functions in the engine (`federation/engine-functions.ts`), since
 * DuckDB's JSON has other texts, paths and meanings. A part of a document keeps its text, so json's stays as it was written.
 */
import { quoteLiteral } from '../../sql-text.ts';
import { notSupported, SqlError, SqlState, type SqlErrorFields } from '../../errors.ts';
import { Oid, arrayTypeOf } from '../../types/pg-type.ts';
import { formatType } from '../../types/format-type.ts';
import { arrayItems, scalarLiteral } from './literals.ts';
import { textOf } from './text-of.ts';
import { isInteger, isJson, isText, typed, type Typed } from './typed.ts';

const TEXTS = arrayTypeOf(Oid.text);

function nameOf(oid: number): string {
  return oid === 0 ? 'unknown' : formatType({ oid, typmod: -1 });
}

function noOperator(name: string, left: Typed, right: Typed, where: SqlErrorFields): SqlError {
  return notSupported(`operator ${nameOf(left.oid)} ${name} ${nameOf(right.oid)} over Arka tables`, where);
}

/** The operand as jsonb: an untyped constant is one. */
function asJsonb(value: Typed): string | null {
  if (value.oid === Oid.jsonb) return value.sql;
  if (value.oid === Oid.unknown && typeof value.constant === 'string') return scalarLiteral(value.constant, Oid.jsonb);
  return value.constant === null ? 'CAST(NULL AS VARCHAR)' : null;
}

/** The operand as text. */
export function asText(value: Typed): string | null {
  if (isText(value.oid) || (value.oid === Oid.unknown && value.constant !== undefined)) return value.sql;
  return value.oid === 0 && value.parameter !== undefined ? `CAST(${value.sql} AS VARCHAR)` : null;
}

/** A path or a list of keys as the engine's functions take it: a JSON array of texts. */
function asTexts(value: Typed): string | null {
  if (value.oid === Oid.unknown && typeof value.constant === 'string')
    return quoteLiteral(JSON.stringify(arrayItems(value.constant)));
  if (value.oid === TEXTS || value.oid === arrayTypeOf(Oid.varchar))
    return `CAST(to_json(CAST(${value.sql} AS VARCHAR[])) AS VARCHAR)`;
  return value.constant === null ? 'CAST(NULL AS VARCHAR)' : null;
}

const isJsonLike = ({ oid }: Typed): boolean => isJson(oid);

/** Undefined: it is not json's. */
export function jsonOperator(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed | undefined {
  switch (name) {
    case '->':
    case '->>':
      return access(name, left, right, where);
    case '#>':
    case '#>>':
      return atPath(name, left, right, where);
    case '?':
    case '?|':
    case '?&':
      return existence(name, left, right, where);
    case '#-': {
      const steps = asTexts(right);
      if (left.oid !== Oid.jsonb || steps === null) throw noOperator(name, left, right, where);
      return typed(`arka_jsonb_without_path(${left.sql}, ${steps})`, Oid.jsonb);
    }
    case '@>':
    case '<@':
    case '||':
    case '-':
      if (!isJsonLike(left) && !isJsonLike(right)) return undefined;
      return name === '-' ? removal(left, right, where) : both(name, left, right, where);
    default:
      return undefined;
  }
}

function access(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  if (!isJson(left.oid)) throw noOperator(name, left, right, where);
  const key = asText(right);
  if (key === null && !isInteger(right.oid)) throw noOperator(name, left, right, where);
  const value = isInteger(right.oid)
    ? `${left.oid === Oid.jsonb ? 'arka_jsonb_element' : 'arka_json_element'}(${left.sql}, CAST(${right.sql} AS INTEGER))`
    : `arka_json_member(${left.sql}, ${key!})`;
  return name === '->' ? typed(value, left.oid) : typed(`arka_json_text(${value})`, Oid.text);
}

function atPath(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const steps = asTexts(right);
  if (!isJson(left.oid) || steps === null) throw noOperator(name, left, right, where);
  const value = `arka_json_at(${left.sql}, ${steps})`;
  return name === '#>' ? typed(value, left.oid) : typed(`arka_json_text(${value})`, Oid.text);
}

function existence(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const keys = name === '?' ? asText(right) : asTexts(right);
  if (left.oid !== Oid.jsonb || keys === null) throw noOperator(name, left, right, where);
  const call = name === '?' ? 'arka_jsonb_has' : name === '?|' ? 'arka_jsonb_has_any' : 'arka_jsonb_has_all';
  return typed(`${call}(${left.sql}, ${keys})`, Oid.bool);
}

function removal(left: Typed, right: Typed, where: SqlErrorFields): Typed {
  if (left.oid !== Oid.jsonb) throw noOperator('-', left, right, where);
  if (isInteger(right.oid))
    return typed(`arka_jsonb_without_element(${left.sql}, CAST(${right.sql} AS INTEGER))`, Oid.jsonb);
  const key = asText(right);
  const keys = key === null ? asTexts(right) : `CAST(to_json([${key}]) AS VARCHAR)`;
  if (keys === null) throw noOperator('-', left, right, where);
  const call = `arka_jsonb_without_keys(${left.sql}, ${keys})`;
  return typed(key === null ? call : `CASE WHEN ${key} IS NOT NULL THEN ${call} END`, Oid.jsonb);
}

function both(name: string, left: Typed, right: Typed, where: SqlErrorFields): Typed {
  const [a, b] = [asJsonb(left), asJsonb(right)];
  if (a === null || b === null) {
    // jsonb || text is text, and json has no containment.
    throw noOperator(name, left, right, where);
  }
  if (name === '||') return typed(`arka_jsonb_concat(${a}, ${b})`, Oid.jsonb);
  return typed(name === '@>' ? `arka_jsonb_contains(${a}, ${b})` : `arka_jsonb_contains(${b}, ${a})`, Oid.bool);
}

function document([arg]: readonly Typed[], name: string): Typed {
  if (arg === undefined || !isJson(arg.oid) || name.startsWith('jsonb_') !== (arg.oid === Oid.jsonb))
    throw notSupported(`function ${name} of this type over Arka tables`);
  return arg;
}

export function jsonTypeof(args: readonly Typed[], name: string): Typed {
  return typed(`arka_json_kind(${document(args, name).sql})`, Oid.text);
}

export function jsonArrayLength(args: readonly Typed[], name: string): Typed {
  const { sql } = document(args, name);
  return typed(
    `CASE arka_json_kind(${sql}) WHEN 'array' THEN CAST(json_array_length(arka_json_elements(${sql})) AS INTEGER) WHEN 'object' THEN error('22023: cannot get array length of a non-array') ELSE CASE WHEN ${sql} IS NOT NULL THEN error('22023: cannot get array length of a scalar') END END`,
    Oid.int4,
  );
}

/** json_extract_path and its kin. */
export function jsonExtractPath(args: readonly Typed[], name: string): Typed {
  const { sql, oid } = document(args, name);
  const steps = args.slice(1).map(asText);
  if (steps.includes(null)) throw notSupported(`function ${name} with such a path over Arka tables`);
  const value = `CASE WHEN ${steps.map((step) => `${step} IS NOT NULL`).join(' AND ') || 'true'} THEN arka_json_at(${sql}, CAST(to_json([${steps.join(', ')}]) AS VARCHAR)) END`;
  return name.endsWith('_text') ? typed(`arka_json_text(${value})`, Oid.text) : typed(value, oid);
}

/** jsonb_set and jsonb_insert. */
export function jsonbPut(args: readonly Typed[], name: string): Typed {
  const [target, path, value, flag] = args;
  const [steps, text] = [asTexts(path!), asJsonb(value!)];
  if (target?.oid !== Oid.jsonb || steps === null || text === null || (flag !== undefined && flag.oid !== Oid.bool))
    throw notSupported(`function ${name} of these types over Arka tables`);
  const call = name === 'jsonb_set' ? 'arka_jsonb_set' : 'arka_jsonb_insert';
  return typed(`${call}(${target.sql}, ${steps}, ${text}, ${flag?.sql ?? String(name === 'jsonb_set')})`, Oid.jsonb);
}

export function jsonbOfOne(args: readonly Typed[], name: string): Typed {
  const { sql } = document(args, name);
  return name === 'jsonb_pretty'
    ? typed(`arka_jsonb_pretty(${sql})`, Oid.text)
    : typed(`arka_jsonb_strip_nulls(${sql})`, Oid.jsonb);
}

/** A value as jsonb, NULL as NULL. @throws {SqlError} 0A000 for types whose text in JSON is not made here */
export function toJsonb(arg: Typed, name: string): string {
  switch (arg.oid) {
    case Oid.jsonb:
      return arg.sql;
    case Oid.json:
      return `arka_jsonb(${arg.sql})`;
    case Oid.bool:
    case Oid.int2:
    case Oid.int4:
    case Oid.int8:
      return `CAST(${arg.sql} AS VARCHAR)`;
    case Oid.uuid:
      return `arka_jsonb_string(CAST(${arg.sql} AS VARCHAR))`;
    case Oid.numeric:
      if (arg.decimal === undefined)
        throw notSupported(`function ${name} of numeric without precision over Arka tables`);
      return textOf(arg);
    case Oid.date:
      return `('"' || ${textOf(arg)} || '"')`;
    case Oid.timestamp:
      return `('"' || regexp_replace(${textOf(arg)}, ' ', 'T') || '"')`;
    case Oid.text:
    case Oid.varchar:
    case Oid.name:
      return `arka_jsonb_string(${arg.sql})`;
    case Oid.unknown:
      if (typeof arg.constant === 'string') return `arka_jsonb_string(${arg.sql})`;
      return 'CAST(NULL AS VARCHAR)';
    default:
      throw notSupported(`function ${name} of type ${nameOf(arg.oid)} over Arka tables`);
  }
}

/** A NULL is a value of a document. */
export const orNull = (sql: string): string => `coalesce(${sql}, 'null')`;

export function jsonbBuildArray(args: readonly Typed[], name: string): Typed {
  if (args.length === 0) return typed("'[]'", Oid.jsonb);
  return typed(`('[' || ${args.map((arg) => orNull(toJsonb(arg, name))).join(" || ', ' || ")} || ']')`, Oid.jsonb);
}

/** The arguments of functions that build objects. @throws {SqlError} 22023 */
export function keysAndValues(args: readonly Typed[], name: string): readonly (readonly [key: Typed, value: Typed])[] {
  if (args.length % 2 !== 0)
    throw new SqlError(SqlState.invalidParameterValue, 'argument list must have even number of elements', {
      hint: `The arguments of ${name}() must consist of alternating keys and values.`,
    });
  return args.flatMap((key, i) => (i % 2 === 0 ? [[key, args[i + 1]!] as const] : []));
}

export function jsonbBuildObject(args: readonly Typed[], name: string): Typed {
  if (args.length === 0) return typed("'{}'", Oid.jsonb);
  const parts = keysAndValues(args, name).map(([given, value], i) => {
    const key = asText(given);
    const written = toJsonb(value, name);
    if (key === null) throw notSupported(`function ${name} with a key that is no text over Arka tables`);
    const guarded =
      typeof given.constant === 'string'
        ? key
        : `coalesce(${key}, error('22023: argument ${2 * i + 1}: key must not be null'))`;
    return `arka_jsonb_string(${guarded}) || ': ' || ${orNull(written)}`;
  });
  return typed(`arka_jsonb('{' || ${parts.join(" || ', ' || ")} || '}')`, Oid.jsonb);
}

/** A function of FROM over lists side by side: its columns (no name: that of the function or its alias) and the list of each. */
export interface ListRows {
  readonly columns: readonly { readonly name: string; readonly oid: number; readonly list: string }[];
}

/** Functions of FROM that give a row a member or element. Undefined: not json's. */
export function jsonRows(name: string, args: readonly Typed[]): ListRows | undefined {
  const match = /^jsonb?_(object_keys|array_elements|array_elements_text|each|each_text)$/.exec(name);
  if (match === null) return undefined;
  if (args.length !== 1) throw notSupported(`function ${name} with ${args.length} arguments over Arka tables`);
  const { sql, oid } = document(args, name);
  const texts = (call: string): string => `from_json(${call}(${sql}), '["VARCHAR"]')`;
  const shown = (list: string): string => `list_transform(${list}, lambda e: arka_json_text(e))`;
  const only = (wanted: string, ofOthers: string, ofScalars: string): string => {
    const other = wanted === 'object' ? 'array' : 'object';
    return `CASE arka_json_kind(${sql}) WHEN '${wanted}' THEN NULL WHEN '${other}' THEN error('22023: ${ofOthers}') ELSE CASE WHEN ${sql} IS NOT NULL THEN error('22023: ${ofScalars}') END END`;
  };
  /** The list, after the complaint about what has none. */
  const checked = (complaint: string, list: string): string => `coalesce(CAST(${complaint} AS VARCHAR[]), ${list})`;
  switch (match[1]) {
    case 'object_keys': {
      const complaint = only('object', `cannot call ${name} on an array`, `cannot call ${name} on a scalar`);
      return { columns: [{ name: '', oid: Oid.text, list: checked(complaint, texts('arka_json_keys')) }] };
    }
    case 'array_elements':
    case 'array_elements_text': {
      const isText = name.endsWith('_text');
      const complaint =
        oid === Oid.jsonb
          ? only('array', 'cannot extract elements from an object', 'cannot extract elements from a scalar')
          : only('array', `cannot call ${name} on a non-array`, `cannot call ${name} on a scalar`);
      const elements = checked(complaint, texts('arka_json_elements'));
      return {
        columns: [{ name: 'value', oid: isText ? Oid.text : oid, list: isText ? shown(elements) : elements }],
      };
    }
    default: {
      const isText = name.endsWith('_text');
      const message = `cannot call ${name} on a non-object`;
      const values = texts('arka_json_values');
      return {
        columns: [
          { name: 'key', oid: Oid.text, list: checked(only('object', message, message), texts('arka_json_keys')) },
          { name: 'value', oid: isText ? Oid.text : oid, list: isText ? shown(values) : values },
        ],
      };
    }
  }
}
