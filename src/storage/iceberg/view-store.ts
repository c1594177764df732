/**
 * Where views live: as properties of their schema's namespace in the catalog, one a view. What a statement makes of them is
 * written in the transaction of the catalog that has the rest of it (definitions.ts, D2).
 */
import { SqlError, SqlState } from '../../errors.ts';
import type { ViewDef } from '../../view-def.ts';
import type { SqliteCatalog } from './sqlite-catalog.ts';

const PREFIX = 'arka.view.';

/** @throws {SqlError} XX001 */
export function storedViews(catalog: SqliteCatalog): ViewDef[] {
  return catalog.properties(PREFIX).map(({ key, schema, value }) => {
    try {
      return JSON.parse(value) as ViewDef;
    } catch (error) {
      throw new SqlError(SqlState.dataCorrupted, `a view in the catalog is damaged (${schema}: ${key})`, {
        cause: error,
      });
    }
  });
}

export function storeView(catalog: SqliteCatalog, view: ViewDef): void {
  catalog.setProperty(view.schema, PREFIX + view.name, JSON.stringify(view));
}

export function removeView(catalog: SqliteCatalog, { schema, name }: Pick<ViewDef, 'schema' | 'name'>): void {
  catalog.removeProperty(schema, PREFIX + name);
}
