/**
 * `SET document['a'][0] = value`: what jsonb is after a value was put at a path, over its canonical text. Source: PostgreSQL's setPath()
 * in jsonfuncs.c, as jsonbsubs.c asks for it.
 *
 * - A1 What the path needs is made: objects for keys, arrays for numbers, with nulls up to the number.
 * - A2 Nothing moves: a number before the beginning, and a scalar in the way, are errors.
 */
import { SqlError, SqlState } from '../errors.ts';
import { elementsOf, membersOf } from './json-text.ts';
import { arrayOf, isContainer, objectOf, quoted } from './jsonb-operations.ts';

/** PostgreSQL's is 2^28; nulls up to there would be a text of 1.6 GB. */
const ELEMENTS_MAX = 2 ** 24;

/** @throws {SqlError} 22023, 22P02, 54000 */
export function assigned(text: string, path: readonly string[], value: string): string {
  return put(text, path, 0, value);
}

function put(text: string, path: readonly string[], depth: number, value: string): string {
  if (depth === path.length) return value;
  if (!isContainer(text))
    throw new SqlError(SqlState.invalidParameterValue, 'cannot replace existing key', {
      detail: 'The path assumes key is a composite object, but it is a scalar value.',
    });
  return text.startsWith('{') ? putMember(text, path, depth, value) : putElement(text, path, depth, value);
}

function putMember(text: string, path: readonly string[], depth: number, value: string): string {
  const members = membersOf(text);
  const key = path[depth]!;
  if (!members.some(([name]) => name === key)) return objectOf([...members, [key, made(path, depth + 1, value)]]);
  return objectOf(members.map(([name, old]) => [name, name === key ? put(old, path, depth + 1, value) : old]));
}

function putElement(text: string, path: readonly string[], depth: number, value: string): string {
  const step = path[depth]!;
  const given = numberOf(step);
  if (given === null)
    throw new SqlError(
      SqlState.invalidTextRepresentation,
      `path element at position ${depth + 1} is not an integer: "${step}"`,
    );
  const elements = [...elementsOf(text)];
  const at = given < 0 ? elements.length + given : given;
  if (at < 0)
    throw new SqlError(
      SqlState.invalidParameterValue,
      `path element at position ${depth + 1} is out of range: ${given}`,
    );
  const old = elements[at];
  if (old !== undefined) elements[at] = put(old, path, depth + 1, value);
  else elements.push(...nulls(at - elements.length), made(path, depth + 1, value));
  return arrayOf(elements);
}

/** What is at the rest of the path, where nothing was. */
function made(path: readonly string[], depth: number, value: string): string {
  let all = value;
  for (const step of path.slice(depth).toReversed()) {
    const place = numberOf(step);
    all = place === null ? `{${quoted(step)}: ${all}}` : arrayOf([...nulls(place), all]);
  }
  return all;
}

function nulls(count: number): readonly string[] {
  if (count > ELEMENTS_MAX)
    throw new SqlError(
      SqlState.programLimitExceeded,
      `number of jsonb array elements exceeds the maximum allowed (${ELEMENTS_MAX})`,
    );
  return Array.from({ length: Math.max(0, count) }, () => 'null');
}

/** As C reads an int. */
function numberOf(step: string): number | null {
  if (!/^[ \t-\r]*[-+]?\d+$/.test(step)) return null;
  const number = Number(step);
  return number >= -(2 ** 31) && number < 2 ** 31 ? number : null;
}
