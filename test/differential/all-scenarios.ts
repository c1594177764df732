/** All scenarios, in the order in which they run. */
import type { Scenario } from './compare.ts';
import { ALTER_TABLE } from './scenarios/alter-table.ts';
import { ARRAYS } from './scenarios/arrays.ts';
import { BY_KEY } from './scenarios/by-key.ts';
import { CHECKS } from './scenarios/checks.ts';
import { COPY } from './scenarios/copy.ts';
import { CREATE_TABLE_AS } from './scenarios/create-table-as.ts';
import { CURSORS } from './scenarios/cursors.ts';
import { DEFINITIONS } from './scenarios/definitions.ts';
import { DOCUMENTS } from './scenarios/documents.ts';
import { DURATIONS } from './scenarios/durations.ts';
import { ERRORS } from './scenarios/errors.ts';
import { EXTREMES } from './scenarios/extremes.ts';
import { GENERATED_COLUMNS } from './scenarios/generated-columns.ts';
import { INDEXES } from './scenarios/indexes.ts';
import { MERGE } from './scenarios/merge.ts';
import { MIGRATIONS } from './scenarios/migrations.ts';
import { MODIFYING_WITH } from './scenarios/modifying-with.ts';
import { NUMERIC_SCALES } from './scenarios/numeric-scales.ts';
import { ON_CONFLICT } from './scenarios/on-conflict.ts';
import { SEQUENCES } from './scenarios/sequences.ts';
import { ROWS_IN_QUERIES } from './scenarios/rows-in-queries.ts';
import { RETURNING } from './scenarios/returning.ts';
import { STYLES } from './scenarios/styles.ts';
import { TEMPORARY_TABLES } from './scenarios/temporary-tables.ts';
import { TO_CHAR } from './scenarios/to-char.ts';
import { TRUNCATE } from './scenarios/truncate.ts';
import { TYPES } from './scenarios/types.ts';
import { UNIQUE } from './scenarios/unique.ts';
import { UPDATE_DELETE } from './scenarios/update-delete.ts';
import { WIDE_TYPES } from './scenarios/wide-types.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...ALTER_TABLE,
  ...RETURNING,
  ...ROWS_IN_QUERIES,
  ...DURATIONS,
  ...ERRORS,
  ...ON_CONFLICT,
  ...SEQUENCES,
  ...CHECKS,
  ...UNIQUE,
  ...UPDATE_DELETE,
  ...BY_KEY,
  ...MERGE,
  ...MODIFYING_WITH,
  ...TEMPORARY_TABLES,
  ...TO_CHAR,
  ...TRUNCATE,
  ...COPY,
  ...CREATE_TABLE_AS,
  ...CURSORS,
  ...DEFINITIONS,
  ...STYLES,
  ...GENERATED_COLUMNS,
  ...INDEXES,
  ...MIGRATIONS,
  ...TYPES,
  ...DOCUMENTS,
  ...EXTREMES,
  ...ARRAYS,
  ...WIDE_TYPES,
  ...NUMERIC_SCALES,
];
