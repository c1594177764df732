/** Functions of texts that the engine has in another form, or not at all. */
import { quoteLiteral } from '../../sql-text.ts';
import { notSupported } from '../../errors.ts';
import { arrayTypeOf, Oid } from '../../types/pg-type.ts';
import { ofAscii } from './patterns.ts';
import { isText, typed, type Typed } from './typed.ts';

/** The engine sees char(n) without the blanks at its end. */
const isOfText = ({ oid, constant }: Typed): boolean =>
  (isText(oid) && oid !== Oid.bpchar) || (oid === Oid.unknown && typeof constant === 'string');

/** What is a letter beyond ASCII PostgreSQL's locale says. */
export function initcap([arg]: readonly Typed[]): Typed {
  const { sql } = arg!;
  if (!isOfText(arg!)) throw notSupported('function initcap of this type over Arka tables');
  const words = `regexp_extract_all(${sql}, '[A-Za-z0-9]+|[^A-Za-z0-9]+')`;
  const capital = `array_to_string(list_transform(${words}, lambda arka_w: upper(arka_w[1]) || lower(arka_w[2:])), '')`;
  const refusal = "error('0A000: initcap of text beyond ASCII is not supported over Arka tables')";
  return typed(
    `CASE WHEN ${sql} = '' THEN '' WHEN strlen(${sql}) = length(${sql}) THEN ${capital} WHEN ${sql} IS NOT NULL THEN ${refusal} END`,
    Oid.text,
  );
}

/** Single characters and classes, each at least once: whoever takes the leftmost alternative or the longest match finds the same. */
const PLAIN =
  /^(?:\\[.()[\]{}+*?^$|\\/-]|\\[dsw]|\[\^?[A-Za-z0-9 ,;:_.-]+\]|[^\\()[\]{}+*?^$|.])(?:\+?(?:\\[.()[\]{}+*?^$|\\/-]|\\[dsw]|\[\^?[A-Za-z0-9 ,;:_.-]+\]|[^\\()[\]{}+*?^$|.]))*\+?$/;

function plainPattern(pattern: Typed | undefined, name: string): string {
  const { constant } = pattern ?? {};
  if (typeof constant !== 'string' || !PLAIN.test(constant))
    throw notSupported(`this form of ${name} over Arka tables`);
  return constant;
}

export function regexpSplitToArray(args: readonly Typed[], name: string): Typed {
  const [source, pattern] = args;
  if (!isOfText(source!)) throw notSupported(`function ${name} of this type over Arka tables`);
  const regex = plainPattern(pattern, name);
  const call = `regexp_split_to_array(${source!.sql}, ${quoteLiteral(regex)})`;
  return typed(ofAscii(regex, source!.sql, call), arrayTypeOf(Oid.text));
}

/** substring(text FROM pattern): NULL where it does not match, else what the group takes, or all of the match. */
export function substringByPattern(source: Typed, pattern: Typed): Typed {
  if (!isOfText(source)) throw notSupported('substring by regular expression of this type over Arka tables');
  const [, before = '', group, behind = ''] = /^([^()]*)(?:\(([^()]*)\)([^()]*))?$/.exec(pattern.constant ?? '') ?? [];
  const parts = [before, group ?? '', behind].filter((part) => part !== '');
  if (typeof pattern.constant !== 'string' || parts.length === 0 || !parts.every((part) => PLAIN.test(part)))
    throw notSupported('this form of substring by regular expression over Arka tables');
  const regex = quoteLiteral(pattern.constant);
  const call = `CASE WHEN regexp_matches(${source.sql}, ${regex}, 's') THEN regexp_extract(${source.sql}, ${regex}, ${group === undefined ? 0 : 1}, 's') END`;
  return typed(ofAscii(pattern.constant, source.sql, call), Oid.text);
}
