/** A statement's text for the eyes of others, in pg_stat_activity and the like: passwords in it are not said. */

const BETWEEN = String.raw`(?:\s|/\*.*?\*/|--[^\n]*(?:\n|$))*`;
/** A string in each of PostgreSQL's spellings; one that has no end, for the text was cut. */
const STRINGS = [
  String.raw`e'(?:[^'\\]|''|\\.)*(?:'|\\?$)`,
  String.raw`(?:u&)?'(?:[^']|'')*(?:'|$)`,
  String.raw`\$([a-z_0-9]*)\$.*?(?:\$\2\$|$)`,
];
const SECRET = new RegExp(String.raw`(\bpassword${BETWEEN})(?:${STRINGS.join('|')})`, 'gis');

export function withoutSecrets(text: string): string {
  return /password/i.test(text) ? text.replaceAll(SECRET, "$1'********'") : text;
}
