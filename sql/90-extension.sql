-- What is Arka's own in the image is of an extension that came with the server, as plpgsql is: so pg_dump leaves it out of its
-- dumps, and \dx names it.
INSERT INTO pg_catalog.pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
  VALUES (16000, 'arka', 'arka'::regrole, 'arka'::regnamespace, false, '1.0');
COMMENT ON EXTENSION arka IS 'views and functions of Arka';
INSERT INTO pg_catalog.pg_depend (classid, objid, objsubid, refclassid, refobjid, refobjsubid, deptype)
  SELECT classid, objid, 0, 'pg_catalog.pg_extension'::regclass, 16000, 0, 'e' FROM (
    SELECT 'pg_catalog.pg_namespace'::regclass AS classid, 'arka'::regnamespace::oid AS objid
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, oid FROM pg_catalog.pg_class WHERE oid >= 16384
      AND relnamespace IN ('arka'::regnamespace, 'pg_catalog'::regnamespace) AND relkind IN ('v', 'r', 'S')
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, oid FROM pg_catalog.pg_proc WHERE oid >= 16384
      AND pronamespace IN ('arka'::regnamespace, 'pg_catalog'::regnamespace)
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, oid FROM pg_catalog.pg_type WHERE oid >= 16384 AND typrelid = 0 AND typelem = 0
      AND typnamespace IN ('arka'::regnamespace, 'pg_catalog'::regnamespace)) AS own;

-- The role of a statement is set from outside: it may not take another one itself, by a query within a function.
REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM PUBLIC;

-- Rights that it came with are no rights that somebody has given.
INSERT INTO pg_catalog.pg_init_privs (objoid, classoid, objsubid, privtype, initprivs)
  SELECT oid, 'pg_catalog.pg_namespace'::regclass, 0, 'e', nspacl FROM pg_catalog.pg_namespace
    WHERE oid = 'arka'::regnamespace AND nspacl IS NOT NULL
  UNION ALL
  SELECT oid, 'pg_catalog.pg_class'::regclass, 0, 'e', relacl FROM pg_catalog.pg_class
    WHERE oid >= 16384 AND relnamespace IN ('arka'::regnamespace, 'pg_catalog'::regnamespace) AND relacl IS NOT NULL
  UNION ALL
  SELECT oid, 'pg_catalog.pg_proc'::regclass, 0, 'e', proacl FROM pg_catalog.pg_proc
    WHERE oid >= 16384 AND pronamespace IN ('arka'::regnamespace, 'pg_catalog'::regnamespace) AND proacl IS NOT NULL
  UNION ALL
  SELECT oid, 'pg_catalog.pg_proc'::regclass, 0, 'e', proacl FROM pg_catalog.pg_proc f
    WHERE oid < 16384 AND proacl IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_init_privs i
      WHERE i.classoid = 'pg_catalog.pg_proc'::regclass AND i.objoid = f.oid);
