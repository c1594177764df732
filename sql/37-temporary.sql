-- Temporary tables lie in schemas of Arka's sessions, not of the one session here: whose a request is, its search_path says
-- (src/catalog/mirror-temporary.ts). Functions built into the server run whatever pg_proc says, so others take their names.
ALTER FUNCTION pg_catalog.pg_my_temp_schema() RENAME TO pg_my_temp_schema_of_backend;
ALTER FUNCTION pg_catalog.pg_is_other_temp_schema(oid) RENAME TO pg_is_other_temp_schema_of_backend;
ALTER FUNCTION pg_catalog.current_schemas(boolean) RENAME TO current_schemas_of_backend;
CREATE FUNCTION pg_catalog.pg_my_temp_schema() RETURNS oid LANGUAGE sql STABLE PARALLEL SAFE AS
  $$ SELECT coalesce((SELECT n.oid FROM pg_catalog.pg_namespace n
     WHERE n.nspname = substring(pg_catalog.current_setting('search_path') FROM 'pg_temp_[0-9]+')), 0::oid) $$;
CREATE FUNCTION pg_catalog.pg_is_other_temp_schema(oid) RETURNS boolean LANGUAGE sql STRICT STABLE PARALLEL SAFE AS
  $$ SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.oid = $1 AND n.nspname ~ '^pg_(toast_)?temp_'
     AND n.oid <> pg_catalog.pg_my_temp_schema()) $$;
-- A temporary schema is the first of the path, before pg_catalog, and none that things are made in.
CREATE FUNCTION pg_catalog.current_schemas(boolean) RETURNS name[] LANGUAGE sql STRICT STABLE PARALLEL SAFE AS
  $$ SELECT coalesce(pg_catalog.array_agg(s.name ORDER BY s.name !~ '^pg_temp_', s.place), '{}')
     FROM pg_catalog.unnest(pg_catalog.current_schemas_of_backend($1)) WITH ORDINALITY AS s(name, place)
     WHERE $1 OR s.name !~ '^pg_temp_' $$;
-- Views call functions by their OIDs: made again, they call these.
DO $$
DECLARE
  v record;
BEGIN
  FOR v IN
    SELECT c.relnamespace::regnamespace || '.' || quote_ident(c.relname) AS name, pg_get_viewdef(c.oid) AS query FROM pg_class c
    WHERE c.relkind = 'v' AND c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND pg_get_viewdef(c.oid) ~ '(pg_my_temp_schema|pg_is_other_temp_schema|current_schemas)_of_backend\('
    ORDER BY c.oid
  LOOP
    EXECUTE 'CREATE OR REPLACE VIEW ' || v.name || ' AS '
      || regexp_replace(v.query, '(pg_my_temp_schema|pg_is_other_temp_schema|current_schemas)_of_backend\(', '\1(', 'g');
  END LOOP;
END $$;
