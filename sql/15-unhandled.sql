-- For superusers alone: literals are in the texts.
CREATE VIEW arka.unhandled AS SELECT * FROM json_to_recordset(arka.stub_rows('unhandled')) AS r(
  query text, sqlstate text, message text, count bigint, first_at timestamptz, last_at timestamptz);
COMMENT ON VIEW arka.unhandled IS 'queries of PostgreSQL''s catalogs that failed, the last first';
