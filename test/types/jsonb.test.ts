import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answer, errorOf, parse, typeNamed } from './codec.ts';

const jsonb = typeNamed('jsonb');

/** What jsonb prints, told by JavaScript's own parser; numbers are left out. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(', ')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const keys = Object.keys(value).sort(
    (a, b) => Buffer.byteLength(a) - Buffer.byteLength(b) || Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  return `{${keys.map((key) => `${JSON.stringify(key)}: ${canonical((value as Record<string, unknown>)[key])}`).join(', ')}}`;
}

test('jsonb is canonical: sorted keys, fixed spacing; and canonical text stays as it is', () => {
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      fc.boolean(),
      fc.constant(null),
      fc.integer(),
      fc.string({ unit: 'grapheme' }),
      fc.array(tie('tree')),
      fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1 }), tie('tree')),
    ),
  }));
  fc.assert(
    fc.property(tree, fc.constantFrom(0, 1, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent).replaceAll('\u2028', '\\u2028');
      fc.pre(!text.includes('\\u0000') && !text.includes('__proto__'));
      const shown = answer(jsonb, text);
      expect(shown).toBe(canonical(JSON.parse(text)));
      expect(answer(jsonb, shown)).toBe(shown);
    }),
  );
});

test('of equal keys the last counts, also when written with escapes, in objects of any size', () => {
  expect(answer(jsonb, '{"b": 1, "a": 1, "\\u0061": 2, "b": {"y": 1, "x": 2, "y": 3}}')).toBe(
    '{"a": 2, "b": {"x": 2, "y": 3}}',
  );
  const many = Array.from({ length: 200 }, (_, i) => `"k${(i * 37) % 100}": ${i}`).join(',');
  expect(answer(jsonb, `{${many}}`)).toBe(canonical(JSON.parse(`{${many}}`)));
});

test.each([
  ['{"a":1,}', 'Expected string, but found "}".', 'JSON data, line 1: {"a":1,}'],
  ['[1 2]', 'Expected "," or "]", but found "2".', 'JSON data, line 1: [1 2...'],
  ['{\n"a":1,\n  "b": tru}', 'Token "tru" is invalid.', 'JSON data, line 3:   "b": tru...'],
  ['{"a":', 'The input string ended unexpectedly.', 'JSON data, line 1: {"a":'],
  ['"\\ud83d"', 'Unicode low surrogate must follow a high surrogate.', 'JSON data, line 1: "\\ud83d"'],
])("%j is 22P02 with PostgreSQL's DETAIL", (text, detail, where) => {
  expect(errorOf(() => parse(jsonb, text))).toMatchObject({
    code: '22P02',
    message: 'invalid input syntax for type json',
    fields: { detail, where },
  });
});

test('\\u0000 is 22P05 in jsonb, kept in json', () => {
  expect(answer(jsonb, '"\\u0000"')).toBe('22P05');
  expect(answer(typeNamed('json'), '"\\u0000"')).toBe('"\\u0000"');
});

test('depth beyond 10,000 is 54001, not a dead server', () => {
  expect(answer(jsonb, '['.repeat(10_001))).toBe('54001');
  expect(answer(jsonb, '['.repeat(9_999) + ']'.repeat(9_999))).toBe('['.repeat(9_999) + ']'.repeat(9_999));
});

test('json stays as written', () => {
  expect(answer(typeNamed('json'), ' {"b":1, "a" :1e2} ')).toBe(' {"b":1, "a" :1e2} ');
});
