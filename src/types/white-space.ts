/**
 * White space, as PostgreSQL's input and output functions see it: C's isspace in the C locale. JavaScript's own trim() and \s take
 * no-break and ideographic spaces, too, which are text to PostgreSQL. In a regular expression it is [ \t-\r].
 */

/** Space, tab, newline, vertical tab, form feed, carriage return. */
export function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}
