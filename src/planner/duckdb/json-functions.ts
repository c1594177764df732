/** The functions of json and jsonb that run in the engine. */
import { Oid } from '../../types/pg-type.ts';
import type { FunctionRule } from './functions.ts';
import {
  jsonArrayLength,
  jsonbBuildArray,
  jsonbBuildObject,
  jsonbOfOne,
  jsonbPut,
  jsonExtractPath,
  jsonTypeof,
  toJsonb,
} from './json.ts';
import { jsonBuildArray, jsonBuildObject, toJsonOf } from './make-json.ts';
import { typed } from './typed.ts';

export const JSON_FUNCTIONS: Readonly<Record<string, FunctionRule>> = {
  json_typeof: { arity: [1, 1], write: jsonTypeof },
  jsonb_typeof: { arity: [1, 1], write: jsonTypeof },
  json_array_length: { arity: [1, 1], write: jsonArrayLength },
  jsonb_array_length: { arity: [1, 1], write: jsonArrayLength },
  json_extract_path: { arity: [1, 99], write: jsonExtractPath },
  json_extract_path_text: { arity: [1, 99], write: jsonExtractPath },
  jsonb_extract_path: { arity: [1, 99], write: jsonExtractPath },
  jsonb_extract_path_text: { arity: [1, 99], write: jsonExtractPath },
  jsonb_set: { arity: [3, 4], write: jsonbPut },
  jsonb_insert: { arity: [3, 4], write: jsonbPut },
  jsonb_strip_nulls: { arity: [1, 1], write: jsonbOfOne },
  jsonb_pretty: { arity: [1, 1], write: jsonbOfOne },
  jsonb_build_array: { write: jsonbBuildArray },
  jsonb_build_object: { write: jsonbBuildObject },
  json_build_array: { write: jsonBuildArray },
  json_build_object: { write: jsonBuildObject },
  to_json: { arity: [1, 1], write: toJsonOf },
  to_jsonb: { arity: [1, 1], write: (args, name) => typed(toJsonb(args[0]!, name), Oid.jsonb) },
};
