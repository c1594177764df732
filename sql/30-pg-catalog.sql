-- Changes to pg_catalog: what the one session inside would otherwise answer for itself, silently wrong.

-- Sessions are Arka's: filled like the views of schema arka, with the columns of PostgreSQL 18.
CREATE OR REPLACE VIEW pg_catalog.pg_stat_activity AS
  SELECT * FROM json_to_recordset(arka.stub_rows('pg_stat_activity')) AS r(
    datid oid, datname name, pid integer, leader_pid integer, usesysid oid, usename name, application_name text,
    client_addr inet, client_hostname text, client_port integer, backend_start timestamptz, xact_start timestamptz,
    query_start timestamptz, state_change timestamptz, wait_event_type text, wait_event text, state text,
    backend_xid xid, backend_xmin xid, query_id bigint, query text, backend_type text);

-- What belongs to one session, or to all, in PostgreSQL's own words.
CREATE OR REPLACE VIEW pg_catalog.pg_prepared_statements AS
  SELECT name, statement, prepare_time, parameter_types::regtype[] AS parameter_types,
    result_types::regtype[] AS result_types, from_sql, generic_plans, custom_plans
  FROM json_to_recordset(arka.stub_rows('pg_prepared_statements')) AS r(
    name text, statement text, prepare_time timestamptz, parameter_types text, result_types text, from_sql boolean,
    generic_plans bigint, custom_plans bigint);
CREATE OR REPLACE VIEW pg_catalog.pg_cursors AS
  SELECT * FROM json_to_recordset(arka.stub_rows('pg_cursors')) AS r(
    name text, statement text, is_holdable boolean, is_binary boolean, is_scrollable boolean, creation_time timestamptz);
CREATE OR REPLACE VIEW pg_catalog.pg_locks AS
  SELECT * FROM json_to_recordset(arka.stub_rows('pg_locks')) AS r(
    locktype text, database oid, relation oid, page integer, tuple smallint, virtualxid text, transactionid xid,
    classid oid, objid oid, objsubid smallint, virtualtransaction text, pid integer, mode text, granted boolean,
    fastpath boolean, waitstart timestamptz);
CREATE OR REPLACE VIEW pg_catalog.pg_settings AS
  SELECT s.name, coalesce(r.setting, s.setting) AS setting, s.unit, s.category, s.short_desc, s.extra_desc, s.context,
    s.vartype, coalesce(r.source, s.source) AS source, s.min_val, s.max_val, s.enumvals, s.boot_val,
    coalesce(r.reset_val, s.reset_val) AS reset_val, s.sourcefile, s.sourceline, s.pending_restart
  FROM pg_catalog.pg_show_all_settings() s LEFT JOIN arka.settings r ON r.name = s.name
  WHERE s.name NOT LIKE 'arka\_rows.%'
  UNION ALL
  SELECT r.name, r.setting, NULL, 'Customized Options', NULL, NULL, 'user', 'string', r.source, NULL, NULL, NULL, NULL,
    r.reset_val, NULL, NULL, false
  FROM arka.settings r WHERE r.name LIKE '%.%';

ALTER FUNCTION pg_catalog.pg_listening_channels() RENAME TO pg_listening_channels_inside;
CREATE FUNCTION pg_catalog.pg_listening_channels() RETURNS SETOF text
  LANGUAGE sql STABLE AS $$ SELECT channel FROM arka.listening $$;

-- psql 15 and other clients from before PostgreSQL 17 ask for d.daticulocale and c.colliculocale. A function of the
-- row type can be written like a column.
CREATE FUNCTION pg_catalog.daticulocale(pg_catalog.pg_database) RETURNS text
  LANGUAGE sql STABLE AS $$ SELECT $1.datlocale $$;
CREATE FUNCTION pg_catalog.colliculocale(pg_catalog.pg_collation) RETURNS text
  LANGUAGE sql STABLE AS $$ SELECT $1.colllocale $$;

-- One session serves all clients: a sleep would hold everybody. A function built into the server runs whatever its
-- row in pg_proc says, so the real one is renamed and others take the names.
ALTER FUNCTION pg_catalog.pg_sleep(double precision) RENAME TO pg_sleep_unlimited;
ALTER FUNCTION pg_catalog.pg_sleep_for(interval) RENAME TO pg_sleep_for_unlimited;
ALTER FUNCTION pg_catalog.pg_sleep_until(timestamp with time zone) RENAME TO pg_sleep_until_unlimited;
CREATE FUNCTION pg_catalog.pg_sleep(double precision) RETURNS void LANGUAGE plpgsql STRICT VOLATILE AS $$
BEGIN
  IF $1 > 1 THEN
    RAISE EXCEPTION 'pg_sleep of more than one second is not supported here'
      USING ERRCODE = 'feature_not_supported', HINT = 'Call pg_sleep in a statement of its own.';
  END IF;
  PERFORM pg_catalog.pg_sleep_unlimited($1);
END $$;
CREATE FUNCTION pg_catalog.pg_sleep_for(interval) RETURNS void LANGUAGE sql STRICT VOLATILE
  AS $$ SELECT pg_catalog.pg_sleep(extract(epoch FROM clock_timestamp() + $1 - clock_timestamp())::double precision) $$;
CREATE FUNCTION pg_catalog.pg_sleep_until(timestamp with time zone) RETURNS void LANGUAGE sql STRICT VOLATILE
  AS $$ SELECT pg_catalog.pg_sleep(extract(epoch FROM $1 - clock_timestamp())::double precision) $$;
