/**
 * Comments of what has no definition of its own: of a schema as the property `comment` of its namespace, as other engines have it;
 * of the database and of roles beside each other in that of `public`.
 */
import { notSupported } from '../../errors.ts';
import type { SqliteCatalog } from './sqlite-catalog.ts';

const OF_SCHEMA = 'comment';
const PREFIX = 'arka.comment.';
const HOME = 'public';

/** `schema s`, `database d` or `role r`, and its comment. */
export function storedComments(catalog: SqliteCatalog): (readonly [string, string])[] {
  return [
    ...catalog
      .properties(OF_SCHEMA)
      .filter(({ key, value }) => key === OF_SCHEMA && value !== '')
      .map(({ schema, value }) => [`schema ${schema}`, value] as const),
    ...catalog.properties(PREFIX).map(({ key, value }) => [key.slice(PREFIX.length), value] as const),
  ];
}

/** @throws {SqlError} 0A000 for the database and roles while there is no schema `public` */
export function storeComment(catalog: SqliteCatalog, [of, comment]: readonly [string, string | null]): void {
  const isSchema = of.startsWith('schema ');
  const [schema, key] = isSchema ? [of.slice('schema '.length), OF_SCHEMA] : [HOME, PREFIX + of];
  const isThere = catalog.schemas().includes(schema);
  if (comment === null) catalog.removeProperty(schema, key);
  else if (isThere) catalog.setProperty(schema, key, comment);
  else if (!isSchema) throw notSupported(`COMMENT ON ${of} without a schema ${HOME}`);
}
