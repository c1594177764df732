/**
 * json made of values: json_build_object and its kin, and the aggregates of json and jsonb. json keeps its text, so PostgreSQL's blanks
 * are part of the answer: `{"a" : 1}`, `[1, 2]`.
 */
import { notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { asText, keysAndValues, orNull, toJsonb } from './json.ts';
import { textOf } from './text-of.ts';
import { isFloat, typed, type Typed } from './typed.ts';

/** A value as json, NULL as NULL. @throws {SqlError} 0A000 for types whose text in JSON is not made here */
function toJson(arg: Typed, name: string): string {
  if (arg.oid === Oid.json) return arg.sql;
  if (!isFloat(arg.oid)) return toJsonb(arg, name);
  // what is no number in JSON is a string
  const text = textOf(arg);
  return `CASE WHEN isfinite(${arg.sql}) THEN ${text} ELSE '"' || ${text} || '"' END`;
}

export const toJsonOf = ([arg]: readonly Typed[], name: string): Typed => typed(toJson(arg!, name), Oid.json);

export function jsonBuildArray(args: readonly Typed[], name: string): Typed {
  if (args.length === 0) return typed("'[]'", Oid.json);
  return typed(`('[' || ${args.map((arg) => orNull(toJson(arg, name))).join(" || ', ' || ")} || ']')`, Oid.json);
}

export function jsonBuildObject(args: readonly Typed[], name: string): Typed {
  if (args.length === 0) return typed("'{}'", Oid.json);
  const parts = keysAndValues(args, name).map(([given, value]) => {
    const [key, written] = [asText(given), toJson(value, name)];
    // the error for a key that is NULL has another SQLSTATE in each version
    if (key === null || typeof given.constant !== 'string')
      throw notSupported(`function ${name} with a key that is no constant text over Arka tables`);
    return `arka_jsonb_string(${key}) || ' : ' || ${orNull(written)}`;
  });
  return typed(`('{' || ${parts.join(" || ', ' || ")} || '}')`, Oid.json);
}

/** An aggregate as string_agg of a text a row, with `, ` between them, and what is made of that. */
export interface ListedJson {
  readonly item: Typed;
  readonly whole: (list: string) => Typed;
}

export function jsonAgg([arg]: readonly Typed[], name: string): ListedJson {
  const isJsonb = name === 'jsonb_agg';
  const value = isJsonb ? toJsonb(arg!, name) : toJson(arg!, name);
  const oid = isJsonb ? Oid.jsonb : Oid.json;
  return { item: typed(orNull(value), Oid.text), whole: (list) => typed(`('[' || ${list} || ']')`, oid) };
}
