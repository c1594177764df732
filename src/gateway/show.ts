/** SHOW: one setting, or all of them with PostgreSQL's description. */
import type { ResultColumn } from '../types/result-column.ts';
import { textColumn } from './columns.ts';
import { displayName } from './settings.ts';

export const ALL = 'all';

/** Gives the rows of SHOW ALL. */
export const SHOW_ALL = `SELECT r.name, r.shown AS setting, coalesce(s.short_desc, '') AS description
FROM arka.settings r LEFT JOIN pg_catalog.pg_show_all_settings() s ON s.name = r.name ORDER BY lower(r.name)`;

export function shownColumns(name: string): readonly ResultColumn[] {
  return name === ALL ? ['name', 'setting', 'description'].map(textColumn) : [textColumn(displayName(name))];
}
