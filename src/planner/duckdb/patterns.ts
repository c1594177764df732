/** LIKE, ~ and SIMILAR TO: DuckDB has no default escape in LIKE, matches whole strings with ~, and has RE2's syntax. */
import { quoteLiteral } from '../../sql-text.ts';
import { SqlError, SqlState, notSupported } from '../../errors.ts';
import { Oid } from '../../types/pg-type.ts';
import { typed, type Typed } from './typed.ts';

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
  const sql = typeof pattern.constant === 'string' ? quoteLiteral(re2Pattern(pattern.constant)) : pattern.sql;
  const call = `regexp_matches(${left.sql}, ${sql}, '${insensitive ? 'si' : 's'}')`;
  return typed(negated ? `(NOT ${call})` : call, Oid.bool);
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
