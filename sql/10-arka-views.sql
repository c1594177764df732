-- Views of schema arka. They hold nothing: before a statement that reads one runs, its rows are put as JSON into
-- the transaction's setting arka_rows.<name>. Column names and order: src/catalog/stub-views.ts; a test compares them.
CREATE SCHEMA arka;
COMMENT ON SCHEMA arka IS 'What Arka tells about itself';
GRANT USAGE ON SCHEMA arka TO PUBLIC;

-- A setting that a rolled back transaction has made stays behind, empty: hence nullif.
CREATE FUNCTION arka.stub_rows(name text) RETURNS json
  LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(pg_catalog.current_setting('arka_rows.' || name, true), '')::json $$;
COMMENT ON FUNCTION arka.stub_rows(text) IS 'internal: the rows of a stub view';

CREATE VIEW arka.tiers AS SELECT * FROM json_to_recordset(arka.stub_rows('tiers')) AS r(
  schema_name text, table_name text, tier text, units bigint, rows bigint, bytes bigint,
  min_time timestamptz, max_time timestamptz, min_lsn pg_lsn, max_lsn pg_lsn);
COMMENT ON VIEW arka.tiers IS 'what each tier holds, per table';

CREATE VIEW arka.tables AS SELECT * FROM json_to_recordset(arka.stub_rows('tables')) AS r(
  schema_name text, table_name text, state text, sqlstate text, message text, hint text, chore text, failures bigint,
  since timestamptz, committed_lsn pg_lsn, flushed_lsn pg_lsn, log_kept_from pg_lsn);
COMMENT ON VIEW arka.tables IS 'whether each table can be read and written, what fails for it, and from where on the log is kept for it';

CREATE VIEW arka.units AS SELECT * FROM json_to_recordset(arka.stub_rows('units')) AS r(
  schema_name text, table_name text, tier text, unit text, partition text, purposes text,
  rows bigint, bytes bigint, deleted_rows bigint, pending_deletes bigint, pins bigint,
  min_time timestamptz, max_time timestamptz, min_lsn pg_lsn, max_lsn pg_lsn, path text);
COMMENT ON VIEW arka.units IS 'memory slices, disk segments and Iceberg data files';

CREATE VIEW arka.memory AS SELECT * FROM json_to_recordset(arka.stub_rows('memory')) AS r(
  used_bytes bigint, limit_bytes bigint, rss_bytes bigint, zone text, delay_ms double precision,
  slab_bytes bigint, index_bytes bigint, queue_bytes bigint, zone_reason text,
  budget_bytes bigint, slab_budget_bytes bigint, slice_bytes bigint, delete_bytes bigint, retired_bytes bigint,
  transaction_bytes bigint, pins bigint, session_bytes bigint, engine_bytes bigint, footer_bytes bigint,
  catalog_bytes bigint, heap_bytes bigint, page_bytes bigint, file_bytes bigint, warm_bytes bigint, pool_bytes bigint, rest_bytes bigint);
COMMENT ON VIEW arka.memory IS 'live bytes, their budget and the zone';

CREATE VIEW arka.disk AS SELECT * FROM json_to_recordset(arka.stub_rows('disk')) AS r(
  used_bytes bigint, limit_bytes bigint, log_bytes bigint, staged_bytes bigint, delta_bytes bigint,
  index_bytes bigint, spill_bytes bigint, cache_bytes bigint, rest_bytes bigint, cached_files bigint, reserved_bytes bigint);
COMMENT ON VIEW arka.disk IS 'what the data directory holds, by part, what is spoken for, and its limit';

CREATE VIEW arka.wal AS SELECT * FROM json_to_recordset(arka.stub_rows('wal')) AS r(
  last_lsn pg_lsn, durable_lsn pg_lsn, committed_lsn pg_lsn, segments bigint, bytes bigint, log_id text,
  zone text, bytes_max bigint, first_lsn pg_lsn);
COMMENT ON VIEW arka.wal IS 'the write-ahead log';

CREATE VIEW arka.commits AS SELECT * FROM json_to_recordset(arka.stub_rows('commits')) AS r(
  committed_at timestamptz, schema_name text, table_name text, snapshot_id bigint, lsn pg_lsn,
  files bigint, rows bigint, deletes bigint, bytes bigint, duration_ms double precision,
  trigger text, retries bigint, warning text);
COMMENT ON VIEW arka.commits IS 'Iceberg commits by this server';

CREATE VIEW arka.flushes AS SELECT * FROM json_to_recordset(arka.stub_rows('flushes')) AS r(
  flushed_at timestamptz, schema_name text, table_name text, lsn pg_lsn,
  rows bigint, bytes bigint, duration_ms double precision, trigger text);
COMMENT ON VIEW arka.flushes IS 'migrations from memory to disk by this server';

CREATE VIEW arka.settings AS SELECT * FROM json_to_recordset(arka.stub_rows('settings')) AS r(
  name text, setting text, shown text, source text, reset_val text);
COMMENT ON VIEW arka.settings IS 'settings of this session, in their units and as SHOW has them';

CREATE VIEW arka.listening AS SELECT * FROM json_to_recordset(arka.stub_rows('listening')) AS r(channel text);
COMMENT ON VIEW arka.listening IS 'channels this session listens on';

GRANT SELECT ON ALL TABLES IN SCHEMA arka TO PUBLIC;
