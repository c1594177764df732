-- Sizes and counts of tables are Arka's: PostgreSQL inside has empty heaps. Before a statement that may ask, one setting of the
-- transaction for each table holds them (src/catalog/relation-facts.ts): rows, deleted rows that are still there, rows inserted,
-- updated and deleted since the start, bytes. What is not a table of Arka's is answered as before.
CREATE FUNCTION arka.fact(relation oid, number integer) RETURNS bigint LANGUAGE sql STABLE AS
  $$ SELECT (nullif(pg_catalog.current_setting('arka_rows.r' || relation, true), '')::bigint[])[number] $$;
COMMENT ON FUNCTION arka.fact(oid, integer) IS 'internal: sizes and counts of a table';

ALTER FUNCTION pg_catalog.pg_relation_size(regclass) RENAME TO pg_relation_size_of_heap;
ALTER FUNCTION pg_catalog.pg_relation_size(regclass, text) RENAME TO pg_relation_size_of_heap;
ALTER FUNCTION pg_catalog.pg_table_size(regclass) RENAME TO pg_table_size_of_heap;
ALTER FUNCTION pg_catalog.pg_indexes_size(regclass) RENAME TO pg_indexes_size_of_heap;
ALTER FUNCTION pg_catalog.pg_total_relation_size(regclass) RENAME TO pg_total_relation_size_of_heap;
ALTER FUNCTION pg_catalog.pg_database_size(oid) RENAME TO pg_database_size_of_heap;
ALTER FUNCTION pg_catalog.pg_database_size(name) RENAME TO pg_database_size_of_heap;
CREATE FUNCTION pg_catalog.pg_relation_size(regclass, text) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT CASE WHEN arka.fact($1, 6) IS NULL THEN pg_relation_size_of_heap($1, $2) WHEN $2 = 'main' THEN arka.fact($1, 6) ELSE 0 END $$;
CREATE FUNCTION pg_catalog.pg_relation_size(regclass) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT pg_catalog.pg_relation_size($1, 'main') $$;
CREATE FUNCTION pg_catalog.pg_table_size(regclass) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT coalesce(arka.fact($1, 6), pg_table_size_of_heap($1)) $$;
CREATE FUNCTION pg_catalog.pg_indexes_size(regclass) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT CASE WHEN arka.fact($1, 6) IS NULL THEN pg_indexes_size_of_heap($1) ELSE 0 END $$;
CREATE FUNCTION pg_catalog.pg_total_relation_size(regclass) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT coalesce(arka.fact($1, 6), pg_total_relation_size_of_heap($1)) $$;
-- The tables' bytes, and nothing of the catalogs.
CREATE FUNCTION pg_catalog.pg_database_size(name) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT CASE WHEN $1 = current_database() THEN coalesce(nullif(current_setting('arka_rows.database', true), '')::bigint, 0)
     ELSE pg_database_size_of_heap($1) END $$;
CREATE FUNCTION pg_catalog.pg_database_size(oid) RETURNS bigint LANGUAGE sql STRICT VOLATILE AS
  $$ SELECT coalesce((SELECT pg_database_size(datname) FROM pg_catalog.pg_database WHERE oid = $1), pg_database_size_of_heap($1)) $$;

ALTER FUNCTION pg_catalog.pg_stat_get_live_tuples(oid) RENAME TO pg_stat_get_live_tuples_of_heap;
ALTER FUNCTION pg_catalog.pg_stat_get_dead_tuples(oid) RENAME TO pg_stat_get_dead_tuples_of_heap;
ALTER FUNCTION pg_catalog.pg_stat_get_tuples_inserted(oid) RENAME TO pg_stat_get_tuples_inserted_of_heap;
ALTER FUNCTION pg_catalog.pg_stat_get_tuples_updated(oid) RENAME TO pg_stat_get_tuples_updated_of_heap;
ALTER FUNCTION pg_catalog.pg_stat_get_tuples_deleted(oid) RENAME TO pg_stat_get_tuples_deleted_of_heap;
CREATE FUNCTION pg_catalog.pg_stat_get_live_tuples(oid) RETURNS bigint LANGUAGE sql STRICT STABLE AS
  $$ SELECT coalesce(arka.fact($1, 1), pg_stat_get_live_tuples_of_heap($1)) $$;
CREATE FUNCTION pg_catalog.pg_stat_get_dead_tuples(oid) RETURNS bigint LANGUAGE sql STRICT STABLE AS
  $$ SELECT coalesce(arka.fact($1, 2), pg_stat_get_dead_tuples_of_heap($1)) $$;
CREATE FUNCTION pg_catalog.pg_stat_get_tuples_inserted(oid) RETURNS bigint LANGUAGE sql STRICT STABLE AS
  $$ SELECT coalesce(arka.fact($1, 3), pg_stat_get_tuples_inserted_of_heap($1)) $$;
CREATE FUNCTION pg_catalog.pg_stat_get_tuples_updated(oid) RETURNS bigint LANGUAGE sql STRICT STABLE AS
  $$ SELECT coalesce(arka.fact($1, 4), pg_stat_get_tuples_updated_of_heap($1)) $$;
CREATE FUNCTION pg_catalog.pg_stat_get_tuples_deleted(oid) RETURNS bigint LANGUAGE sql STRICT STABLE AS
  $$ SELECT coalesce(arka.fact($1, 5), pg_stat_get_tuples_deleted_of_heap($1)) $$;
-- The view calls functions by their OIDs: made again, it calls these.
DO $$ BEGIN
  EXECUTE 'CREATE OR REPLACE VIEW pg_catalog.pg_stat_all_tables AS '
    || regexp_replace(pg_get_viewdef('pg_catalog.pg_stat_all_tables'::regclass), '(pg_stat_get_\w+)_of_heap\(', '\1(', 'g');
END $$;
