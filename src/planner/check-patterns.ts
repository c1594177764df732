/** Constant patterns of CHECK as JavaScript's: LIKE, and the regular expressions that mean the same in both. */
import type { Node } from 'libpg-query';
import { SqlError, SqlState } from '../errors.ts';
import { atNode, unsupported } from './ast.ts';

const literal = (text: string): string => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);

/** LIKE matches the whole value; the backslash escapes. @throws {SqlError} 22025 */
export function likePattern(pattern: string, node: Node): string {
  let out = '^';
  const characters = [...pattern];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!;
    if (character === '%') out += '.*';
    else if (character === '_') out += '.';
    else if (character !== '\\') out += literal(character);
    else {
      i++;
      if (i === characters.length)
        throw new SqlError(
          SqlState.invalidEscapeSequence,
          'LIKE pattern must not end with escape character',
          atNode(node),
        );
      out += literal(characters[i]!);
    }
  }
  return `${out}$`;
}

/**
 * A regular expression whose every part means in JavaScript (with the flag `u`) what it means in PostgreSQL.
 * @throws {SqlError} 0A000 for others
 */
export function jsPattern(pattern: string, node: Node): string {
  const part = String.raw`(?:[^\\[\](){}*+?.^$|]|\\[dws.\\^$*+?()[\]{}|/-]|\.|\^|\$|\||\((?:\?:|(?!\?))|\)|\[\^?(?:[^\\[\]]|\\[dws.\\^$*+?()[\]{}|/-])+\]|[*+?](?!\+)\??|\{\d+(?:,\d*)?\}\??)`;
  if (!new RegExp(`^${part}*$`, 'su').test(pattern)) throw unsupported('CHECK with this regular expression', node);
  const made = pattern.replaceAll(/(?<!\\)-(?=\])/g, String.raw`\-`);
  try {
    return new RegExp(made, 'su').source;
  } catch {
    throw unsupported('CHECK with this regular expression', node);
  }
}
