/**
 * jsonb's operators and functions over its canonical text (J1–J4 of `jsonb.ts`), one value at a time: containment, keys, and new
 * values made of old ones. What they make is canonical again. Source: PostgreSQL's jsonb_op.c and jsonfuncs.c, by what they answer.
 */
import { SqlError, SqlState } from '../errors.ts';
import { ByteWriter } from './byte-writer.ts';
import { elementOfArray, elementsOf, kindOf, membersOf, memberOf, unquoted } from './json-text.ts';
import { normaliseJsonb } from './jsonb.ts';
import { putNumericKey } from './sort-key.ts';
import { decodeText, encodeText } from './utf8.ts';

export const isContainer = (text: string): boolean => text.startsWith('{') || text.startsWith('[');

/** Numbers are equal whatever their scale. */
function sameScalar(a: string, b: string): boolean {
  if (a === b) return true;
  return kindOf(a) === 'number' && kindOf(b) === 'number' && numberKey(a) === numberKey(b);
}

function numberKey(text: string): string {
  const out = new ByteWriter(32);
  putNumericKey(text, out);
  return Buffer.from(out.bytes.buffer, 0, out.length).toString('latin1');
}

/** `@>`: of the outermost arrays a scalar alone may be an element. */
export function contains(whole: string, part: string): boolean {
  if (whole.startsWith('{') !== part.startsWith('{')) return false;
  if (isContainer(part)) return isContainer(whole) && containsDeep(whole, part);
  return whole.startsWith('[') ? elementsOf(whole).some((each) => sameScalar(each, part)) : sameScalar(whole, part);
}

function containsDeep(whole: string, part: string): boolean {
  if (!isContainer(whole) || !isContainer(part)) return sameScalar(whole, part);
  if (whole[0] !== part[0]) return false;
  if (part.startsWith('{'))
    return membersOf(part).every(([key, value]) => {
      const own = memberOf(whole, key);
      return own !== null && containsDeep(own, value);
    });
  const elements = elementsOf(whole);
  return elementsOf(part).every((wanted) => elements.some((each) => containsDeep(each, wanted)));
}

/** `?`: a key of an object, or a string that is an element, or the value itself. */
export function hasKey(text: string, key: string): boolean {
  if (text.startsWith('{')) return memberOf(text, key) !== null;
  const elements = text.startsWith('[') ? elementsOf(text) : [text];
  return elements.some((each) => each.startsWith('"') && unquoted(each) === key);
}

export function hasAnyKey(text: string, keys: readonly (string | null)[]): boolean {
  return keys.some((key) => key !== null && hasKey(text, key));
}

export function hasAllKeys(text: string, keys: readonly (string | null)[]): boolean {
  return keys.every((key) => key === null || hasKey(text, key));
}

/** `-> n`: a scalar that stands alone is an array of one. */
export function element(text: string, index: number): string | null {
  if (isContainer(text)) return elementOfArray(text, index);
  return index === 0 || index === -1 ? text : null;
}

export const arrayOf = (elements: readonly string[]): string => `[${elements.join(', ')}]`;

/** J1: by length, then by bytes. */
function compareKeys(a: string, b: string): number {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length - y.length || Buffer.compare(x, y);
}

/** J1: of equal keys the last counts. */
export function objectOf(members: Iterable<readonly [key: string, value: string]>): string {
  const sorted = [...new Map(members)].toSorted(([a], [b]) => compareKeys(a, b));
  return `{${sorted.map(([key, value]) => `${quoted(key)}: ${value}`).join(', ')}}`;
}

/** J3. */
export function quoted(text: string): string {
  return canonical(JSON.stringify(text));
}

/** @throws {SqlError} 22P02 for what is no JSON */
export function canonical(json: string): string {
  const out = new ByteWriter(json.length + 16);
  const bytes = encodeText(json);
  normaliseJsonb(bytes, 0, bytes.length, out);
  return decodeText(out.bytes, 0, out.length);
}

/** `||` */
export function concatenated(left: string, right: string): string {
  if (left.startsWith('{') && right.startsWith('{')) return objectOf([...membersOf(left), ...membersOf(right)]);
  const elements = (text: string): readonly string[] => (text.startsWith('[') ? elementsOf(text) : [text]);
  return arrayOf([...elements(left), ...elements(right)]);
}

const wrong = (message: string): SqlError => new SqlError(SqlState.invalidParameterValue, message);

/** `- key`: of an object the member, of an array the strings that are equal. */
export function withoutKeys(text: string, keys: readonly (string | null)[]): string {
  if (!isContainer(text)) throw wrong('cannot delete from scalar');
  const gone = new Set(keys);
  if (text.startsWith('{')) return objectOf(membersOf(text).filter(([key]) => !gone.has(key)));
  return arrayOf(elementsOf(text).filter((each) => !each.startsWith('"') || !gone.has(unquoted(each))));
}

/** `- n` */
export function withoutElement(text: string, index: number): string {
  if (!isContainer(text)) throw wrong('cannot delete from scalar');
  if (text.startsWith('{')) throw wrong('cannot delete from object using integer index');
  const elements = elementsOf(text);
  const at = index < 0 ? elements.length + index : index;
  return arrayOf(elements.filter((_, i) => i !== at));
}

type Path = readonly (string | null)[];

/** What a step along a path does at its end; `null`: the member or element is left out. */
type Change =
  | { readonly kind: 'delete' }
  | { readonly kind: 'set'; readonly value: string; readonly creates: boolean }
  | { readonly kind: 'insert'; readonly value: string; readonly after: boolean };

/** `#- path` */
export function withoutPath(text: string, path: Path): string {
  if (!isContainer(text)) throw wrong('cannot delete path in scalar');
  return path.length === 0 || isEmpty(text) ? text : changed(text, path, 0, { kind: 'delete' });
}

const isEmpty = (text: string): boolean => text === '[]' || text === '{}';

/** jsonb_set */
export function withValue(text: string, path: Path, value: string, creates: boolean): string {
  if (!isContainer(text)) throw wrong('cannot set path in scalar');
  return path.length === 0 || (isEmpty(text) && !creates)
    ? text
    : changed(text, path, 0, { kind: 'set', value, creates });
}

/** jsonb_insert */
export function withInserted(text: string, path: Path, value: string, after: boolean): string {
  if (!isContainer(text)) throw wrong('cannot set path in scalar');
  return path.length === 0 ? text : changed(text, path, 0, { kind: 'insert', value, after });
}

function changed(text: string, path: Path, depth: number, change: Change): string {
  const step = path[depth]!;
  if (step === null) throw new SqlError(SqlState.nullValueNotAllowed, `path element at position ${depth + 1} is null`);
  if (text.startsWith('{')) return changedObject(text, path, depth, step, change);
  if (text.startsWith('[')) return changedArray(text, path, depth, step, change);
  return text;
}

function changedObject(text: string, path: Path, depth: number, step: string, change: Change): string {
  const members = membersOf(text);
  const isEnd = depth === path.length - 1;
  const found = members.some(([key]) => key === step);
  if (!found) {
    const adds = isEnd && (change.kind === 'insert' || (change.kind === 'set' && change.creates));
    return adds ? objectOf([...members, [step, change.value]]) : text;
  }
  if (!isEnd)
    return objectOf(
      members.map(([key, value]) => [key, key === step ? changed(value, path, depth + 1, change) : value]),
    );
  if (change.kind === 'delete') return objectOf(members.filter(([key]) => key !== step));
  if (change.kind === 'insert')
    throw new SqlError(SqlState.invalidParameterValue, 'cannot replace existing key', {
      hint: 'Try using the function jsonb_set to replace key value.',
    });
  return objectOf(members.map(([key, value]) => [key, key === step ? change.value : value]));
}

function changedArray(text: string, path: Path, depth: number, step: string, change: Change): string {
  if (!/^[ \t-\r]*[-+]?\d+[ \t-\r]*$/.test(step))
    throw new SqlError(
      SqlState.invalidTextRepresentation,
      `path element at position ${depth + 1} is not an integer: "${step}"`,
    );
  const elements = [...elementsOf(text)];
  const given = Number(step);
  let at = given < 0 ? elements.length + given : given;
  if (depth < path.length - 1) {
    const element = elements[at];
    if (element === undefined) return text;
    elements[at] = changed(element, path, depth + 1, change);
    return arrayOf(elements);
  }
  const isInside = at >= 0 && at < elements.length;
  if (change.kind === 'delete') {
    if (isInside) elements.splice(at, 1);
  } else if (change.kind === 'insert') {
    at = Math.max(0, Math.min(at, elements.length));
    elements.splice(isInside && change.after ? at + 1 : at, 0, change.value);
  } else if (isInside) elements[at] = change.value;
  else if (change.creates) elements.splice(at < 0 ? 0 : elements.length, 0, change.value);
  return arrayOf(elements);
}

/** jsonb_strip_nulls: members that are null, at any depth; elements stay. */
export function withoutNulls(text: string): string {
  if (text.startsWith('[')) return arrayOf(elementsOf(text).map(withoutNulls));
  if (!text.startsWith('{')) return text;
  return objectOf(
    membersOf(text)
      .filter(([, value]) => value !== 'null')
      .map(([key, value]) => [key, withoutNulls(value)]),
  );
}

/** jsonb_pretty */
export function pretty(text: string, indent = 0): string {
  const inside = ' '.repeat((indent + 1) * 4);
  const end = `\n${' '.repeat(indent * 4)}`;
  if (text.startsWith('[')) {
    const lines = elementsOf(text).map((each) => `\n${inside}${pretty(each, indent + 1)}`);
    return `[${lines.join(',')}${end}]`;
  }
  if (!text.startsWith('{')) return text;
  const lines = membersOf(text).map(([key, value]) => `\n${inside}${quoted(key)}: ${pretty(value, indent + 1)}`);
  return `{${lines.join(',')}${end}}`;
}
