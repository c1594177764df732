-- Functions that act on a server which is not there: PostgreSQL inside would say that it has done it. And setseed(), which
-- would be of all sessions, and of no random() over tables. And such as run a text, or read a table: PostgreSQL inside has no
-- rows. And those that give OIDs, which are Arka's (src/catalog/mirror.ts calls them by their new names). Renamed, since a function
-- built into the server runs whatever its row in pg_proc says, and one that refuses takes each name.
DO $$
DECLARE
  f record;
BEGIN
  FOR f IN
    SELECT p.oid, p.proname, p.proretset, pg_get_function_identity_arguments(p.oid) AS args, pg_get_function_arguments(p.oid) AS given,
      pg_get_function_result(p.oid) AS result
    FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND (
      p.proname LIKE 'lo\_%' OR p.proname IN ('loread', 'lowrite', 'lo_get', 'lo_put', 'lo_from_bytea')
      OR p.proname ~ '^pg_replication_origin_(create|drop|session|xact|advance)'
      OR p.proname ~ '^pg_stat_(reset|force)'
      OR p.proname IN ('pg_reload_conf', 'pg_rotate_logfile', 'pg_promote', 'pg_switch_wal', 'pg_backup_start', 'pg_backup_stop',
        'pg_wal_replay_pause', 'pg_wal_replay_resume', 'pg_log_standby_snapshot', 'pg_log_backend_memory_contexts',
        'pg_export_snapshot', 'pg_import_system_collations', 'pg_read_file', 'pg_read_binary_file', 'pg_ls_dir',
        'pg_ls_logdir', 'pg_ls_waldir', 'pg_stat_file', 'pg_logical_emit_message', 'pg_get_shmem_allocations_numa')
      OR p.proname ~ '^(query|table|schema|database|cursor)_to_xml' OR p.proname IN ('ts_stat', 'setseed')
      OR (p.proname = 'ts_rewrite' AND p.pronargs = 2)
      OR p.proname LIKE 'binary\_upgrade\_%')
    AND p.prorettype <> 'trigger'::regtype
  LOOP
    EXECUTE format('ALTER FUNCTION pg_catalog.%I(%s) RENAME TO %I', f.proname, f.args, left(f.proname, 50) || '_inside');
    EXECUTE format('REVOKE EXECUTE ON FUNCTION pg_catalog.%I(%s) FROM PUBLIC', left(f.proname, 50) || '_inside', f.args);
    EXECUTE format('CREATE FUNCTION pg_catalog.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN
      RAISE EXCEPTION %L USING ERRCODE = ''feature_not_supported''; END $f$', f.proname,
      f.given, f.result, f.proname || '() is not supported');
  END LOOP;
END $$;
-- It called the one that is renamed now, which says XX000 without libnuma.
CREATE OR REPLACE VIEW pg_catalog.pg_shmem_allocations_numa AS SELECT * FROM pg_catalog.pg_get_shmem_allocations_numa();
