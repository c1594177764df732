/**
 * `pg_temp`, as a statement's text has it, is the schema of its session: it is written so before anything reads the text, for
 * PostgreSQL inside has one session and reads it, too.
 */
import { notSupported } from '../errors.ts';

/** Strings, comments and quoted names; and names of schemas in front of a dot, which alone are looked at. */
const TOKENS =
  /e'(?:\\[^]|''|[^'\\])*'|'(?:''|[^'])*'(\s*::\s*(?:pg_catalog\s*\.\s*)?regclass\b)?|\$(\w*)\$[^]*?\$\2\$|--[^\n]*|\/\*[^]*?\*\/|(?<![\w$.])"?(pg_temp(?:_\d+)?)"?(?=\s*\.)|"(?:""|[^"])*"/gi;
const MENTIONED = /pg_temp/i;

const NAME_BEHIND = /^\s*\.\s*(?:"((?:""|[^"])*)"|([\w$\u0080-\uffff]+))/;

/**
 * @param isThere whether another session has something of that name
 * @throws {SqlError} 0A000 for a name that leads to what another session has
 */
export function withTemporarySchema(
  text: string,
  schema: string,
  isThere: (schema: string, name: string) => boolean,
): string {
  if (!MENTIONED.test(text)) return text;
  return text.replace(
    TOKENS,
    (token: string, regclass: string | undefined, _tag: string, named: string | undefined, offset: number) => {
      if (regclass !== undefined) return token.replace(/^'("?)pg_temp\1\./i, `'${schema}.`);
      if (named === undefined) return token;
      const name = named.toLowerCase();
      if (name === 'pg_temp') return schema;
      if (name === schema) return token;
      const [, quoted, plain = ''] = NAME_BEHIND.exec(text.slice(offset + token.length)) ?? [];
      if (!isThere(name, quoted?.replaceAll('""', '"') ?? plain.toLowerCase())) return token;
      throw notSupported(`${name}: access to temporary tables of other sessions`);
    },
  );
}
