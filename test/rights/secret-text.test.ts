import fc from 'fast-check';
import { expect, test } from 'vitest';
import { withoutSecrets } from '../../src/secret-text.ts';

test.each([
  ["CREATE ROLE a PASSWORD 'x''y' LOGIN", "CREATE ROLE a PASSWORD '********' LOGIN"],
  [
    "alter user a with encrypted password E'x\\'y' valid until 'z'",
    "alter user a with encrypted password '********' valid until 'z'",
  ],
  ["ALTER ROLE a PASSWORD /* ' */ $x$ it's $x$; SELECT 1", "ALTER ROLE a PASSWORD /* ' */ '********'; SELECT 1"],
  ["ALTER ROLE a PASSWORD -- '\n  U&'x'", "ALTER ROLE a PASSWORD -- '\n  '********'"],
  ["ALTER ROLE a PASSWORD 'cut of", "ALTER ROLE a PASSWORD '********'"],
  ["SELECT password FROM t WHERE password = 'x'", "SELECT password FROM t WHERE password = 'x'"],
  ['ALTER ROLE a PASSWORD NULL', 'ALTER ROLE a PASSWORD NULL'],
])('%s is shown as %s', (text, shown) => {
  expect(withoutSecrets(text)).toBe(shown);
});

test('a password is never shown, wherever the text is cut', () => {
  const secret = fc.stringMatching(/^[b-df-z0-9]{6,12}$/);
  const quoted = fc.constantFrom<(text: string) => string>(
    (text) => `'${text}'`,
    (text) => `'it''s ${text}'`,
    (text) => `E'\\'${text}'`,
    (text) => `$$${text}$$`,
    (text) => `$q$ ${text} $q$`,
  );
  fc.assert(
    fc.property(secret, quoted, fc.nat(), (text, quote, cut) => {
      const sql = `CREATE USER a PASSWORD ${quote(text)} LOGIN`;
      const shown = withoutSecrets(sql.slice(0, cut % (sql.length + 1)));
      expect(shown).not.toContain(text.slice(0, 6));
    }),
  );
});
