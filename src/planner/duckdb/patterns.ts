/** LIKE, ~ and SIMILAR TO: DuckDB has no default escape in LIKE, matches whole strings with ~, and has RE2's syntax. */
import { quoteLiteral } from '../../sql-text.ts';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { parameterMark, typed, type Typed } from './typed.ts';

export function writeLike(
  left: Typed,
  pattern: Typed,
  escape: Typed | null,
  insensitive: boolean,
  negated: boolean,
): Typed {
  if (left.oid === Oid.bytea) throw notSupported('LIKE over bytea');
  if (left.oid === Oid.bpchar && !/^[^ _\\]*%$/.test(pattern.constant ?? ''))
    throw notSupported('LIKE over character(n) with this pattern over Arka tables', CAST_TO_TEXT);
  const operator = `${negated ? 'NOT ' : ''}${insensitive ? 'ILIKE' : 'LIKE'}`;
  const plain = escape === null && typeof pattern.constant === 'string' && !pattern.constant.includes('\\');
  if (plain || escape?.constant === '') return typed(`(${left.sql} ${operator} ${pattern.sql})`, Oid.bool);
  if (escape !== null && typeof escape.constant !== 'string')
    throw notSupported('a LIKE escape that is no constant over Arka tables');
  const character = escape?.constant ?? '\\';
  if ([...character].length !== 1) {
    throw new SqlError(SqlState.invalidEscapeSequence, 'invalid escape string', {
      hint: 'Escape string must be empty or one character.',
    });
  }
  if (insensitive)
    return typed(
      `${negated ? '(NOT ' : '('}ilike_escape(${left.sql}, ${pattern.sql}, ${quoteLiteral(character)}))`,
      Oid.bool,
    );
  return typed(`(${left.sql} ${operator} ${pattern.sql} ESCAPE ${quoteLiteral(character)})`, Oid.bool);
}

/** The engine sees char(n) without the blanks that count in patterns. */
const CAST_TO_TEXT = { hint: 'Cast the column to text.' };

/** A search, `.` matching a newline too, as PostgreSQL's advanced regular expressions do. */
export function writeRegex(left: Typed, pattern: Typed, insensitive: boolean, negated: boolean): Typed {
  if (left.oid === Oid.bpchar)
    throw notSupported('a regular expression over character(n) over Arka tables', CAST_TO_TEXT);
  const call = searched(left, pattern, insensitive ? 'si' : 's');
  return typed(negated ? `(NOT ${call})` : call, Oid.bool);
}

function searched(left: Typed, pattern: Typed, options: string): string {
  const match = (sql: string): string => `regexp_matches(${left.sql}, ${sql}, '${options}')`;
  if (typeof pattern.constant === 'string')
    return ofAscii(pattern.constant, left.sql, match(quoteLiteral(re2Pattern(pattern.constant))));
  if (pattern.parameter === undefined) return ofPlain(pattern.sql, match(pattern.sql));
  const knowsMore = `regexp_matches(${pattern.sql}, ${quoteLiteral(LETTERS.source)})`;
  return `CASE WHEN strlen(${left.sql}) <> length(${left.sql}) AND ${knowsMore} THEN ${BEYOND_ASCII} ELSE ${match(parameterMark(pattern.parameter, 'regex'))} END`;
}

/** Classes that know more letters in PostgreSQL than in RE2, and words made of them. */
const LETTERS = /\\[wWsSmMyY]|\[:\^?(alpha|alnum|upper|lower|punct|graph|print|space|cntrl|blank|word):\]/;
const BEYOND_ASCII =
  "error('0A000: a class of letters in a regular expression over text beyond ASCII is not supported over Arka tables')";

/** `call` matches a constant pattern: where it has a class of letters, over ASCII alone. */
export function ofAscii(pattern: string, text: string, call: string): string {
  if (!LETTERS.test(pattern)) return call;
  return `CASE WHEN strlen(${text}) = length(${text}) THEN ${call} WHEN ${text} IS NOT NULL THEN ${BEYOND_ASCII} END`;
}

/** A pattern that is known with the row is of the syntax that both have, or left to PostgreSQL. */
function ofPlain(pattern: string, call: string): string {
  const refusal =
    "error('0A000: an escape, a class or an option in a regular expression that is no constant is not supported over Arka tables')";
  return `CASE WHEN regexp_matches(${pattern}, '\\\\|\\(\\?|\\[\\[|^\\*\\*\\*') THEN ${refusal} ELSE ${call} END`;
}

/**
 * A constant pattern in RE2's syntax.
 * @throws {SqlError} 0A000 for back-references, lookaround and directors, which RE2 has not
 */
export function re2Pattern(pattern: string): string {
  if (pattern.startsWith('***')) throw refused('directors (***)');
  if (/\(\?[^:]/.test(pattern)) throw refused(/^\(\?[a-z]+\)/.test(pattern) ? 'embedded options' : 'lookaround');
  if (/\[\[[.=<>:]/.test(pattern) && /\[\[[.=<>]|\[\[:[<>]:\]\]/.test(pattern)) throw refused('collating elements');
  return pattern.replaceAll(/\\(.)/gs, (whole, character: string) => {
    if (/[1-9]/.test(character)) throw refused('back-references');
    switch (character) {
      case 'm':
      case 'M':
      case 'y':
        return '\\b';
      case 'Y':
        return '\\B';
      case 'Z':
        return '\\z';
      case 'b':
        return '\\x08';
      case 'B':
        return '\\\\';
      case 'c':
      case 'u':
      case 'U':
      case 'e':
        throw refused(`the escape \\${character}`);
      default:
        return whole;
    }
  });
}

function refused(what: string): SqlError {
  return notSupported(`${what} in a regular expression over Arka tables`);
}
