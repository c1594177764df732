/**
 * SASLprep (RFC 4013): the one spelling of a password, so that a client that composes accents and one that does not
 * mean the same.
 *
 * As PostgreSQL has it: a password that SASLprep forbids, or that is ASCII alone, is taken as it is. Unassigned code points
 * are those of this JavaScript's Unicode, not of version 3.2.
 */

/** Tables C.1.2 and B.1 of RFC 3454. */
const SPACES = /[\u{a0}\u{1680}\u{2000}-\u{200b}\u{202f}\u{205f}\u{3000}]/gu;
const NOTHING = /\u{ad}|\u{34f}|\u{1806}|[\u{180b}-\u{180d}]|\u{200c}|\u{200d}|\u{2060}|[\u{fe00}-\u{fe0f}]|\u{feff}/gu;
/** C.2 to C.9, and what is assigned to nothing. */
const PROHIBITED =
  /[\p{Cc}\p{Co}\p{Cs}\p{Cn}]|\u{6dd}|\u{70f}|\u{180e}|[\u{2028}-\u{202e}]|[\u{2061}-\u{2063}]|[\u{206a}-\u{206f}]|[\u{fff9}-\u{ffff}]|[\u{2ff0}-\u{2ffb}]|\u{340}|\u{341}|\u{200e}|\u{200f}|[\u{1d173}-\u{1d17a}]|\u{e0001}|[\u{e0020}-\u{e007f}]/u;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}]/u;
const LEFT_TO_RIGHT = /(?!\p{Script=Hebrew}|\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Thaana})\p{L}/u;

export function saslprep(password: string): string {
  // oxlint-disable-next-line no-control-regex -- all of ASCII
  if (/^[\0-\x7f]*$/.test(password)) return password;
  const prepared = password.replaceAll(SPACES, ' ').replaceAll(NOTHING, '').normalize('NFKC');
  if (prepared === '' || PROHIBITED.test(prepared) || !keepsDirection(prepared)) return password;
  return prepared;
}

/** RFC 3454, section 6: text from right to left has no other letters, and begins and ends so. */
function keepsDirection(text: string): boolean {
  if (!RIGHT_TO_LEFT.test(text)) return true;
  const characters = [...text];
  return !LEFT_TO_RIGHT.test(text) && RIGHT_TO_LEFT.test(characters[0]!) && RIGHT_TO_LEFT.test(characters.at(-1)!);
}
