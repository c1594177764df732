/**
 * JSON with 64-bit integers: Java and PyIceberg make snapshot ids up to 2^63, beyond a double's exact 2^53.
 * The fields that are longs by specification come as bigint always, other integers only where a number would round.
 * @see https://github.com/tc39/proposal-json-parse-with-source
 */
declare global {
  interface JSON {
    rawJSON(text: string): unknown;
  }
}

const LONG_FIELDS = new Set([
  'snapshot-id',
  'parent-snapshot-id',
  'current-snapshot-id',
  'sequence-number',
  'last-sequence-number',
]);

export function parseJson(text: string): unknown {
  return JSON.parse(
    text,
    function (this: unknown, key: string, value: unknown, context?: { readonly source?: string }): unknown {
      if (typeof value !== 'number') return value;
      const source = context?.source ?? String(value);
      if (!/^-?\d+$/.test(source)) return value;
      return LONG_FIELDS.has(key) || !Number.isSafeInteger(value) ? BigInt(source) : value;
    },
  );
}

export function stringifyJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'bigint' ? JSON.rawJSON(inner.toString()) : inner,
  );
}
