/** COMMENT ON as DDL for PGlite: those of a table come with it, those of schemas, the database and roles by themselves. */
import { quoteIdentifier, quoteLiteral } from '../sql-text.ts';
import type { TableDef } from '../table-def.ts';
import type { ViewDef } from '../view-def.ts';

const qualified = ({ schema, name }: { readonly schema: string; readonly name: string }): string =>
  `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;

export function tableCommentsSql(def: TableDef): readonly string[] {
  const table = qualified(def);
  return [
    ...(def.comment === undefined ? [] : [`COMMENT ON TABLE ${table} IS ${quoteLiteral(def.comment)}`]),
    ...def.columns.flatMap(({ name, comment }) =>
      comment === undefined ? [] : [`COMMENT ON COLUMN ${table}.${quoteIdentifier(name)} IS ${quoteLiteral(comment)}`],
    ),
    ...Object.entries(def.comments ?? {}).map(([key, comment]) => {
      const [of, name] = [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 1)];
      const object =
        of === 'index'
          ? `INDEX ${qualified({ schema: def.schema, name })}`
          : `CONSTRAINT ${quoteIdentifier(name)} ON ${table}`;
      return `COMMENT ON ${object} IS ${quoteLiteral(comment)}`;
    }),
  ];
}

export function viewCommentsSql(view: ViewDef): readonly string[] {
  const name = qualified(view);
  return [
    ...(view.comment === null ? [] : [`COMMENT ON VIEW ${name} IS ${quoteLiteral(view.comment)}`]),
    ...view.columns.flatMap((column) =>
      column.comment === null
        ? []
        : [`COMMENT ON COLUMN ${name}.${quoteIdentifier(column.name)} IS ${quoteLiteral(column.comment)}`],
    ),
  ];
}

/** `schema s`, `database d` or `role r` → its comment; null: none any more. */
export type SharedComment = readonly [string, string | null];

/** @param gone schemas that are dropped, whose comments went with them; @param made schemas that are new in PGlite */
export function sharedCommentSteps(
  now: ReadonlyMap<string, string>,
  wanted: readonly (readonly [string, string])[],
  gone: readonly string[],
  made: readonly string[],
): readonly SharedComment[] {
  const kept = new Map(wanted);
  const ofSchemas = (names: readonly string[], key: string): boolean => names.some((name) => key === `schema ${name}`);
  return [
    ...[...now.keys()]
      .filter((key) => !kept.has(key) && !ofSchemas(gone, key))
      .map((key): SharedComment => [key, null]),
    ...wanted.filter(([key, text]) => now.get(key) !== text || ofSchemas(made, key)),
  ];
}

export function sharedCommentSql([key, comment]: SharedComment): string {
  const [of, name] = [key.slice(0, key.indexOf(' ')), key.slice(key.indexOf(' ') + 1)];
  return `COMMENT ON ${of.toUpperCase()} ${quoteIdentifier(name)} IS ${comment === null ? 'NULL' : quoteLiteral(comment)}`;
}
