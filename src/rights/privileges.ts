/** Privileges as bits, by the kind of object that they are on; their names and PostgreSQL's letters. */
import { SqlError, SqlState } from '../errors.ts';

export type ObjectKind = 'table' | 'column' | 'sequence' | 'schema' | 'database';

/** In the order in which PostgreSQL writes them in an aclitem. */
const ALL: readonly (readonly [name: string, letter: string])[] = [
  ['INSERT', 'a'],
  ['SELECT', 'r'],
  ['UPDATE', 'w'],
  ['DELETE', 'd'],
  ['TRUNCATE', 'D'],
  ['REFERENCES', 'x'],
  ['TRIGGER', 't'],
  ['USAGE', 'U'],
  ['CREATE', 'C'],
  ['TEMPORARY', 'T'],
  ['CONNECT', 'c'],
];

export const Privilege = {
  insert: 1 << 0,
  select: 1 << 1,
  update: 1 << 2,
  delete: 1 << 3,
  truncate: 1 << 4,
  references: 1 << 5,
  trigger: 1 << 6,
  usage: 1 << 7,
  create: 1 << 8,
  temporary: 1 << 9,
  connect: 1 << 10,
} as const;

/** What ALL PRIVILEGES is. */
export const ALL_OF: Readonly<Record<ObjectKind, number>> = {
  table: (1 << 7) - 1,
  column: Privilege.insert | Privilege.select | Privilege.update | Privilege.references,
  sequence: Privilege.usage | Privilege.select | Privilege.update,
  schema: Privilege.usage | Privilege.create,
  database: Privilege.create | Privilege.temporary | Privilege.connect,
};

/** What PUBLIC has of an object of which nothing was said. */
export const OF_PUBLIC: Readonly<Record<ObjectKind, number>> = {
  table: 0,
  column: 0,
  sequence: 0,
  schema: 0,
  database: Privilege.temporary | Privilege.connect,
};

/** @throws {SqlError} 42601, 0LP01 */
export function privilegeNamed(name: string, kind: ObjectKind, what: string = kind): number {
  const shown = name.toUpperCase() === 'TEMP' ? 'TEMPORARY' : name.toUpperCase();
  const index = ALL.findIndex(([each]) => each === shown);
  if (index < 0) throw new SqlError(SqlState.syntaxError, `unrecognized privilege type "${name}"`);
  if (((1 << index) & ALL_OF[kind]) === 0)
    throw new SqlError(SqlState.invalidGrantOperation, `invalid privilege type ${shown} for ${what}`);
  return 1 << index;
}

/** `ar*w`: with a star where it may be granted on. */
export function privilegeLetters(privileges: number, options: number): string {
  return ALL.map(([, letter], i) => {
    if (((privileges >> i) & 1) === 0) return '';
    return ((options >> i) & 1) === 0 ? letter : `${letter}*`;
  }).join('');
}
