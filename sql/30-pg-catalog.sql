-- Changes to pg_catalog: what the one session inside would otherwise answer for itself, silently wrong.

-- Sessions are Arka's: filled like the views of schema arka, with the columns of PostgreSQL 18.
CREATE OR REPLACE VIEW pg_catalog.pg_stat_activity AS
  SELECT * FROM json_to_recordset(arka.stub_rows('pg_stat_activity')) AS r(
    datid oid, datname name, pid integer, leader_pid integer, usesysid oid, usename name, application_name text,
    client_addr inet, client_hostname text, client_port integer, backend_start timestamptz, xact_start timestamptz,
    query_start timestamptz, state_change timestamptz, wait_event_type text, wait_event text, state text,
    backend_xid xid, backend_xmin xid, query_id bigint, query text, backend_type text);

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
