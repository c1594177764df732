/** Queries of older clients that PostgreSQL inside, which is newer, would not take, or answer otherwise than they mean. */

const CHANGED: readonly (readonly [RegExp, string])[] = [
  // pg_dump 15 and 16 ask for a number, of which -1 says "none given"; since 17 that is NULL, which they take for 0.
  [
    /^(SELECT\na\.attrelid,\na\.attnum,\na\.attname,\na\.atttypmod,\n)a\.attstattarget,/,
    '$1coalesce(a.attstattarget, -1) AS attstattarget,',
  ],
  // pg_dump 15 and 16 of the database itself: the column has another name since 17.
  [/(\bdatlocprovider, )daticulocale(, datcollversion, )/, '$1datlocale AS daticulocale$2'],
];

export function inNewWords(sql: string): string {
  let text = sql;
  for (const [old, now] of CHANGED) text = text.replace(old, now);
  return text;
}
