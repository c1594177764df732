-- Functions that Arka carries out itself. They are here so that PostgreSQL resolves and describes them, and \df
-- shows them; a call that reaches a body stands where Arka does not replace it by its value.
CREATE FUNCTION arka.elsewhere(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is not supported here', name
    USING ERRCODE = 'feature_not_supported', HINT = 'Call it with constant arguments in a statement of its own.';
END $$;
COMMENT ON FUNCTION arka.elsewhere(text) IS 'internal: refuses a call that Arka did not replace';

CREATE FUNCTION arka.metadata_location("table" text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM arka.elsewhere('arka.metadata_location');
END $$;
COMMENT ON FUNCTION arka.metadata_location(text) IS 'current Iceberg metadata.json of a table';

CREATE FUNCTION arka.wait_for_lsn(lsn pg_lsn) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM arka.elsewhere('arka.wait_for_lsn');
END $$;
COMMENT ON FUNCTION arka.wait_for_lsn(pg_lsn) IS 'waits until a position is readable here';

CREATE PROCEDURE arka.flush("table" text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM arka.elsewhere('arka.flush');
END $$;
COMMENT ON PROCEDURE arka.flush(text) IS 'moves one table from memory to disk';

CREATE PROCEDURE arka.commit("table" text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM arka.elsewhere('arka.commit');
END $$;
COMMENT ON PROCEDURE arka.commit(text) IS 'moves one table from disk to Iceberg';
