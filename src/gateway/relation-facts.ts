/** Sizes and counts of tables, for a statement of PostgreSQL's catalogs that may ask for them. */
import type { RelationFacts, TableFacts } from '../catalog/catalog-api.ts';
import type { Relations } from '../ingest/relations.ts';
import type { QueryPlan } from '../planner/plan.ts';
import type { Table } from '../storage/table.ts';
import { isTemporarySchema } from '../table-def.ts';
import { unitFacts } from './views.ts';

const ASKS = /pg_\w*_size\b|pg_stat|reltuples|relpages/i;
const ASKS_PERSISTENCE = /relpersistence/i;
const OF_CLASS = /reltuples|relpages/i;

/** Null: it does not ask. */
export function factsFor({ text, views }: QueryPlan, relations: Relations): RelationFacts | null {
  const persistence = ASKS_PERSISTENCE.test(text) && [...relations.schemas].some(isTemporarySchema);
  if (!persistence && !ASKS.test(text) && !views.some((view) => view.startsWith('pg_catalog.pg_stat'))) return null;
  const tables = [...relations.tables].map((table) => factsOf(table, relations.definition(table).oid));
  const bytes = tables.reduce((sum, table) => sum + table.bytes, 0);
  return { tables, bytes, inClass: OF_CLASS.test(text), persistence };
}

function factsOf(table: Table, oid: number): TableFacts {
  const { inserted, updated, deleted } = table.counts;
  return { oid, inserted, updated, deleted, ...unitFacts(table) };
}
