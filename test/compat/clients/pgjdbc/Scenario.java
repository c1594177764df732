import java.io.*;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.*;
import java.util.*;
import java.util.concurrent.*;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.copy.CopyManager;

/** pgjdbc: metadata, fetch sizes, batches with and without reWriteBatchedInserts, CopyManager, cancel, every type in text and binary. */
public class Scenario {
  static final String SCHEMA = System.getenv("COMPAT_SCHEMA");
  static final java.net.URI AT = java.net.URI.create(System.getenv("COMPAT_URL"));

  interface Check {
    void run() throws Exception;
  }

  static void check(String name, Check check) {
    try {
      check.run();
      System.out.println("ok " + name);
    } catch (Throwable error) {
      System.out.println("not ok " + name + ": " + String.valueOf(error).replaceAll("\\s+", " "));
      error.printStackTrace();
    }
  }

  static void same(Object got, Object expected) {
    if (!Objects.deepEquals(got, expected)) throw new AssertionError("got " + show(got) + ", expected " + show(expected));
  }

  static String show(Object value) {
    return value instanceof Object[] array ? Arrays.deepToString(array) : value instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(value);
  }

  static Connection connect(String... properties) throws SQLException {
    Properties given = new Properties();
    given.setProperty("user", AT.getUserInfo());
    given.setProperty("currentSchema", SCHEMA);
    for (String property : properties) given.setProperty(property.split("=")[0], property.split("=")[1]);
    return DriverManager.getConnection("jdbc:postgresql://" + AT.getHost() + ":" + AT.getPort() + AT.getPath(), given);
  }

  static List<List<Object>> rows(ResultSet set) throws SQLException {
    List<List<Object>> all = new ArrayList<>();
    int width = set.getMetaData().getColumnCount();
    while (set.next()) {
      List<Object> row = new ArrayList<>();
      for (int i = 1; i <= width; i++) row.add(set.getObject(i));
      all.add(row);
    }
    return all;
  }

  static List<Object> column(ResultSet set, String name) throws SQLException {
    List<Object> all = new ArrayList<>();
    while (set.next()) all.add(set.getObject(name));
    return all;
  }

  static SQLException fails(Check check, String state) throws Exception {
    try {
      check.run();
    } catch (SQLException error) {
      same(error.getSQLState(), state);
      return error;
    }
    throw new AssertionError(state + " was expected");
  }

  static final String COLUMNS =
      "i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, num numeric(20,6), flag boolean, txt text, vc varchar(20), bc char(5), raw bytea, day date,"
          + " clock time, local timestamp, instant timestamptz, uid uuid, jb jsonb, ints integer[], texts text[]";

  static void putTyped(PreparedStatement put, Connection connection, int id) throws SQLException {
    put.setInt(1, id);
    put.setShort(2, (short) -32768);
    put.setInt(3, Integer.MAX_VALUE);
    put.setLong(4, Long.MIN_VALUE);
    put.setFloat(5, 0.1f);
    put.setDouble(6, 1e300);
    put.setBigDecimal(7, new BigDecimal("-12345678901234.567890"));
    put.setBoolean(8, true);
    put.setString(9, "zażółć 🦆 \\ ' \"");
    put.setString(10, "twenty");
    put.setString(11, "ab");
    put.setBytes(12, new byte[] {0, -1, 16});
    put.setObject(13, LocalDate.of(2024, 2, 29));
    put.setObject(14, LocalTime.of(23, 59, 59, 999_999_000));
    put.setObject(15, LocalDateTime.of(1999, 12, 31, 23, 59, 59, 123_456_000));
    put.setObject(16, OffsetDateTime.of(2026, 1, 2, 3, 4, 5, 6_000, ZoneOffset.UTC));
    put.setObject(17, UUID.fromString("00112233-4455-6677-8899-aabbccddeeff"));
    put.setObject(18, "{\"a\": [1, null, \"x\"]}", Types.OTHER);
    put.setArray(19, connection.createArrayOf("int4", new Integer[] {1, null, 3}));
    put.setArray(20, connection.createArrayOf("text", new String[] {"a", "b c", null, "d\"e"}));
    put.executeUpdate();
  }

  static void sameTyped(ResultSet set) throws SQLException {
    same(set.getShort("i2"), (short) -32768);
    same(set.getInt("i4"), Integer.MAX_VALUE);
    same(set.getLong("i8"), Long.MIN_VALUE);
    same(set.getFloat("f4"), 0.1f);
    same(set.getDouble("f8"), 1e300);
    same(set.getBigDecimal("num"), new BigDecimal("-12345678901234.567890"));
    same(set.getBoolean("flag"), true);
    same(set.getString("txt"), "zażółć 🦆 \\ ' \"");
    same(set.getString("vc"), "twenty");
    same(set.getString("bc"), "ab   ");
    same(set.getBytes("raw"), new byte[] {0, -1, 16});
    same(set.getObject("day", LocalDate.class), LocalDate.of(2024, 2, 29));
    same(set.getObject("clock", LocalTime.class), LocalTime.of(23, 59, 59, 999_999_000));
    same(set.getObject("local", LocalDateTime.class), LocalDateTime.of(1999, 12, 31, 23, 59, 59, 123_456_000));
    same(set.getObject("instant", OffsetDateTime.class).toInstant(), Instant.parse("2026-01-02T03:04:05.000006Z"));
    same(set.getObject("uid"), UUID.fromString("00112233-4455-6677-8899-aabbccddeeff"));
    same(set.getString("jb"), "{\"a\": [1, null, \"x\"]}");
    same(set.getArray("ints").getArray(), new Integer[] {1, null, 3});
    same(set.getArray("texts").getArray(), new String[] {"a", "b c", null, "d\"e"});
  }

  public static void main(String[] args) throws Exception {
    System.out.println("client pgjdbc " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
    Connection connection = connect();
    Statement statement = connection.createStatement();
    statement.execute("DROP SCHEMA IF EXISTS " + SCHEMA + " CASCADE; CREATE SCHEMA " + SCHEMA);
    statement.execute("CREATE TABLE items (id integer PRIMARY KEY, name varchar(30) NOT NULL DEFAULT 'x', price numeric(10,2))");
    statement.execute("CREATE TABLE pair (a integer, b bigint, v text, PRIMARY KEY (b, a))");
    statement.execute("CREATE TABLE numbered (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, note text)");
    statement.execute("CREATE TABLE typed (id integer PRIMARY KEY, " + COLUMNS + ")");
    statement.execute("CREATE VIEW dear AS SELECT id, price FROM items WHERE price > 100");
    statement.execute("COMMENT ON TABLE items IS 'things'; COMMENT ON COLUMN items.name IS 'as it is said'");

    batches(connection);
    queries(connection);
    types();
    transactions(connection);
    copies(connection);
    metadata(connection);
    others(connection);

    statement.execute("DROP SCHEMA " + SCHEMA + " CASCADE");
    connection.close();
  }

  static void batches(Connection connection) throws Exception {
    for (boolean rewrite : new boolean[] {false, true})
      check("a batch of 1,000 inserts" + (rewrite ? ", rewritten to rows of one INSERT" : ""), () -> {
        try (Connection own = connect("reWriteBatchedInserts=" + rewrite); PreparedStatement put = own.prepareStatement("INSERT INTO items VALUES (?, ?, ?)")) {
          own.createStatement().executeUpdate("DELETE FROM items");
          for (int n = 0; n < 1000; n++) {
            put.setInt(1, n);
            put.setString(2, "item " + n);
            put.setBigDecimal(3, BigDecimal.valueOf(n, 0).divide(BigDecimal.valueOf(4)));
            put.addBatch();
          }
          same(put.executeBatch().length, 1000);
          same(rows(own.createStatement().executeQuery("SELECT count(*), sum(id), sum(price) FROM items")), List.of(List.of(1000L, 499500L, new BigDecimal("124875.00"))));
        }
      });
    check("a batch of different statements, and the place of the one that fails", () -> {
      try (Statement many = connection.createStatement()) {
        many.addBatch("UPDATE items SET name = 'batch' WHERE id < 2");
        many.addBatch("DELETE FROM items WHERE id = -1");
        same(many.executeBatch(), new int[] {2, 0});
        many.addBatch("UPDATE items SET name = 'batch 2' WHERE id < 2");
        many.addBatch("INSERT INTO items VALUES (1)");
        try {
          many.executeBatch();
          throw new AssertionError("23505 was expected");
        } catch (BatchUpdateException error) {
          same(error.getSQLState(), "23505");
        }
      }
    });
    check("generated keys", () -> {
      try (PreparedStatement put = connection.prepareStatement("INSERT INTO numbered (note) VALUES (?)", Statement.RETURN_GENERATED_KEYS)) {
        put.setString(1, "one");
        put.executeUpdate();
        ResultSet keys = put.getGeneratedKeys();
        same(keys.next() && keys.getInt("id") > 0, true);
        for (int n = 0; n < 5; n++) {
          put.setString(1, "batch " + n);
          put.addBatch();
        }
        put.executeBatch();
        same(rows(put.getGeneratedKeys()).size(), 5);
      }
    });
  }

  static void queries(Connection connection) throws Exception {
    check("setFetchSize reads a portal in portions", () -> {
      connection.setAutoCommit(false);
      try (PreparedStatement get = connection.prepareStatement("SELECT id FROM items WHERE id >= ? ORDER BY id")) {
        get.setFetchSize(77);
        for (int from : new int[] {0, 500}) {
          get.setInt(1, from);
          int next = from;
          ResultSet set = get.executeQuery();
          while (set.next()) same(set.getInt(1), next++);
          same(next, 1000);
        }
        ResultSet given = get.executeQuery();
        given.next();
        given.close();
      } finally {
        connection.commit();
        connection.setAutoCommit(true);
      }
    });
    check("setMaxRows", () -> {
      try (Statement get = connection.createStatement()) {
        get.setMaxRows(10);
        same(rows(get.executeQuery("SELECT * FROM items")).size(), 10);
      }
    });
    check("scrollable and updatable results", () -> {
      try (Statement get = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
        ResultSet set = get.executeQuery("SELECT id, name, price FROM items WHERE id < 10 ORDER BY id");
        set.last();
        same(set.getInt(1), 9);
        set.absolute(4);
        set.updateString("name", "updated");
        set.updateRow();
        set.moveToInsertRow();
        set.updateInt("id", 5000);
        set.updateString("name", "inserted");
        set.insertRow();
        same(rows(connection.createStatement().executeQuery("SELECT name FROM items WHERE id IN (3, 5000) ORDER BY id")), List.of(List.of("updated"), List.of("inserted")));
        connection.createStatement().executeUpdate("DELETE FROM items WHERE id = 5000");
      }
    });
    check("several statements in one execute give several results", () -> {
      try (Statement many = connection.createStatement()) {
        same(many.execute("SELECT 1; UPDATE items SET price = price WHERE id < 3; SELECT 2"), true);
        same(rows(many.getResultSet()), List.of(List.of(1)));
        same(many.getMoreResults(), false);
        same(many.getUpdateCount(), 3);
        same(many.getMoreResults(), true);
        same(rows(many.getResultSet()), List.of(List.of(2)));
      }
    });
    check("parameters are described", () -> {
      try (PreparedStatement get = connection.prepareStatement("SELECT name FROM items WHERE id = ? AND price < ? AND name LIKE ?")) {
        ParameterMetaData data = get.getParameterMetaData();
        same(List.of(data.getParameterTypeName(1), data.getParameterTypeName(2), data.getParameterTypeName(3)), List.of("int4", "numeric", "text"));
      }
    });
    check("results are described, with tables, columns, precision and nullability from the catalog", () -> {
      try (PreparedStatement get = connection.prepareStatement("SELECT id, name AS n, price, 1 AS one FROM items")) {
        ResultSetMetaData data = get.getMetaData();
        same(data.getColumnCount(), 4);
        same(List.of(data.getColumnName(1), data.getColumnLabel(2), data.getTableName(1), ((org.postgresql.PGResultSetMetaData) data).getBaseSchemaName(1)), List.of("id", "n", "items", SCHEMA));
        same(((org.postgresql.PGResultSetMetaData) data).getBaseColumnName(2), "name");
        same(List.of(data.getPrecision(2), data.getPrecision(3), data.getScale(3)), List.of(30, 10, 2));
        same(List.of(data.isNullable(1), data.isNullable(3)), List.of(ResultSetMetaData.columnNoNulls, ResultSetMetaData.columnNullable));
        same(List.of(data.getColumnTypeName(1), data.getColumnTypeName(3)), List.of("int4", "numeric"));
      }
    });
  }

  static void types() {
    for (String mode : new String[] {"text", "binary"})
      check("values of every type go in and come back, " + mode, () -> {
        try (Connection own = connect("prepareThreshold=" + (mode.equals("binary") ? -1 : 0), "binaryTransfer=" + mode.equals("binary"))) {
          own.createStatement().executeUpdate("DELETE FROM typed");
          String places = "?" + ", ?".repeat(19);
          try (PreparedStatement put = own.prepareStatement("INSERT INTO typed VALUES (" + places + ")")) {
            for (int id = 0; id < 3; id++) putTyped(put, own, id);
          }
          try (PreparedStatement get = own.prepareStatement("SELECT * FROM typed WHERE id = ?")) {
            for (int id = 0; id < 3; id++) {
              get.setInt(1, id);
              ResultSet set = get.executeQuery();
              same(set.next(), true);
              sameTyped(set);
            }
          }
        }
      });
    check("NULLs of every type go in and come back", () -> {
      try (Connection own = connect(); PreparedStatement put = own.prepareStatement("INSERT INTO typed VALUES (100" + ", ?".repeat(19) + ")")) {
        int[] kinds = {Types.SMALLINT, Types.INTEGER, Types.BIGINT, Types.REAL, Types.DOUBLE, Types.NUMERIC, Types.BOOLEAN, Types.VARCHAR, Types.VARCHAR, Types.CHAR,
            Types.BINARY, Types.DATE, Types.TIME, Types.TIMESTAMP, Types.TIMESTAMP_WITH_TIMEZONE, Types.OTHER, Types.OTHER, Types.ARRAY, Types.ARRAY};
        for (int i = 0; i < kinds.length; i++) put.setNull(i + 1, kinds[i]);
        put.executeUpdate();
        List<Object> row = rows(own.createStatement().executeQuery("SELECT * FROM typed WHERE id = 100")).get(0);
        same(row.subList(1, 20), Collections.nCopies(19, null));
      }
    });
    check("java.sql dates, times and timestamps", () -> {
      try (Connection own = connect(); PreparedStatement put = own.prepareStatement("INSERT INTO typed (id, day, clock, local, instant) VALUES (200, ?, ?, ?, ?)")) {
        Timestamp at = Timestamp.valueOf("2020-05-06 07:08:09.123456");
        put.setDate(1, java.sql.Date.valueOf("2020-05-06"));
        put.setTime(2, Time.valueOf("07:08:09"));
        put.setTimestamp(3, at);
        put.setTimestamp(4, at);
        put.executeUpdate();
        ResultSet set = own.createStatement().executeQuery("SELECT day, clock, local, instant FROM typed WHERE id = 200");
        set.next();
        same(List.of(set.getDate(1), set.getTime(2), set.getTimestamp(3), set.getTimestamp(4)), List.of(java.sql.Date.valueOf("2020-05-06"), Time.valueOf("07:08:09"), at, at));
      }
    });
  }

  static void transactions(Connection connection) throws Exception {
    check("commit, rollback and savepoints", () -> {
      connection.setAutoCommit(false);
      try (Statement change = connection.createStatement()) {
        change.executeUpdate("UPDATE items SET name = 'outer' WHERE id = 1");
        Savepoint point = connection.setSavepoint("here");
        change.executeUpdate("UPDATE items SET name = 'inner' WHERE id = 1");
        connection.rollback(point);
        connection.releaseSavepoint(connection.setSavepoint());
        connection.commit();
        same(rows(change.executeQuery("SELECT name FROM items WHERE id = 1")), List.of(List.of("outer")));
        change.executeUpdate("DELETE FROM items");
        connection.rollback();
        same(rows(change.executeQuery("SELECT count(*) FROM items")), List.of(List.of(1000L)));
        connection.rollback();
      } finally {
        connection.setAutoCommit(true);
      }
    });
    check("isolation levels and read only", () -> {
      try (Connection own = connect()) {
        own.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
        same(own.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
        own.setReadOnly(true);
        own.setAutoCommit(false);
        fails(() -> own.createStatement().executeUpdate("DELETE FROM items"), "25006");
        own.rollback();
      }
    });
    check("autosave rolls back to before a statement that failed", () -> {
      try (Connection own = connect("autosave=always")) {
        own.setAutoCommit(false);
        own.createStatement().executeUpdate("UPDATE items SET name = 'kept' WHERE id = 2");
        fails(() -> own.createStatement().executeUpdate("INSERT INTO items VALUES (2, 'x')"), "23505");
        own.commit();
        same(rows(own.createStatement().executeQuery("SELECT name FROM items WHERE id = 2")), List.of(List.of("kept")));
      }
    });
    check("errors have state, constraint, table and position", () -> {
      org.postgresql.util.PSQLException error =
          (org.postgresql.util.PSQLException) fails(() -> connection.createStatement().executeUpdate("INSERT INTO items VALUES (1, 'x')"), "23505");
      same(List.of(error.getServerErrorMessage().getConstraint(), error.getServerErrorMessage().getTable()), List.of("items_pkey", "items"));
      error = (org.postgresql.util.PSQLException) fails(() -> connection.createStatement().executeQuery("SELECT nope FROM items"), "42703");
      same(error.getServerErrorMessage().getPosition(), 8);
    });
  }

  static void copies(Connection connection) throws Exception {
    CopyManager copy = connection.unwrap(PGConnection.class).getCopyAPI();
    check("CopyManager copies in and out, in text and CSV", () -> {
      StringBuilder text = new StringBuilder();
      for (int n = 6000; n < 8000; n++) text.append(n).append("\trow ").append(n).append("\t").append(n).append(".50\n");
      same(copy.copyIn("COPY items FROM STDIN", new StringReader(text.toString())), 2000L);
      StringWriter out = new StringWriter();
      same(copy.copyOut("COPY (SELECT * FROM items WHERE id >= 6000 ORDER BY id) TO STDOUT", out), 2000L);
      same(out.toString(), text.toString());
      same(copy.copyIn("COPY pair FROM STDIN (FORMAT csv, HEADER)", new StringReader("a,b,v\n1,2,\"x,\"\"y\"\n")), 1L);
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      copy.copyOut("COPY pair TO STDOUT CSV", bytes);
      same(bytes.toString(StandardCharsets.UTF_8), "1,2,\"x,\"\"y\"\n");
    });
    check("CopyManager copies binary data as it came", () -> {
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      copy.copyOut("COPY (SELECT id + 10000, name, price FROM items WHERE id >= 6000) TO STDOUT BINARY", bytes);
      same(copy.copyIn("COPY items FROM STDIN BINARY", new ByteArrayInputStream(bytes.toByteArray())), 2000L);
      connection.createStatement().executeUpdate("DELETE FROM items WHERE id >= 6000");
    });
    check("a COPY that is cancelled, or fails, leaves nothing", () -> {
      org.postgresql.copy.CopyIn in = copy.copyIn("COPY items FROM STDIN");
      in.writeToCopy("9000\tx\t1\n".getBytes(), 0, 9);
      in.cancelCopy();
      fails(() -> copy.copyIn("COPY items FROM STDIN", new StringReader("9001\tx\t1\nbad\n")), "22P02");
      same(rows(connection.createStatement().executeQuery("SELECT count(*) FROM items")), List.of(List.of(1000L)));
    });
  }

  static void metadata(Connection connection) throws Exception {
    DatabaseMetaData data = connection.getMetaData();
    check("the server's name and version", () -> {
      same(data.getDatabaseProductName(), "PostgreSQL");
      same(data.getDatabaseMajorVersion() >= 15, true);
      same(data.getMaxColumnNameLength() > 60, true);
    });
    check("getSchemas and getCatalogs", () -> {
      same(column(data.getSchemas(), "TABLE_SCHEM").containsAll(List.of(SCHEMA, "public", "pg_catalog")), true);
      same(column(data.getCatalogs(), "TABLE_CAT").contains(connection.getCatalog()), true);
      same(column(data.getTableTypes(), "TABLE_TYPE").containsAll(List.of("TABLE", "VIEW")), true);
    });
    check("getTables, with remarks and by type", () -> {
      same(column(data.getTables(null, SCHEMA, "%", new String[] {"TABLE"}), "TABLE_NAME"), List.of("items", "numbered", "pair", "typed"));
      same(column(data.getTables(null, SCHEMA, "%", new String[] {"VIEW"}), "TABLE_NAME"), List.of("dear"));
      same(column(data.getTables(null, SCHEMA, "it%", new String[] {"TABLE"}), "REMARKS").get(0), "things");
    });
    check("getColumns, with types, sizes, defaults, nullability, remarks and identity", () -> {
      ResultSet set = data.getColumns(null, SCHEMA, "items", "%");
      List<List<Object>> got = new ArrayList<>();
      while (set.next())
        got.add(Arrays.asList(set.getString("COLUMN_NAME"), set.getString("TYPE_NAME"), set.getInt("DATA_TYPE"), set.getInt("COLUMN_SIZE"), set.getInt("DECIMAL_DIGITS"),
            set.getString("COLUMN_DEF"), set.getString("IS_NULLABLE"), set.getString("REMARKS")));
      same(got, List.of(Arrays.asList("id", "int4", Types.INTEGER, 10, 0, null, "NO", null), Arrays.asList("name", "varchar", Types.VARCHAR, 30, 0, "'x'::character varying", "NO", "as it is said"),
          Arrays.asList("price", "numeric", Types.NUMERIC, 10, 2, null, "YES", null)));
      same(column(data.getColumns(null, SCHEMA, "numbered", "id"), "IS_AUTOINCREMENT"), List.of("YES"));
      same(column(data.getColumns(null, SCHEMA, "typed", "%"), "TYPE_NAME").get(19), "_text");
    });
    check("getPrimaryKeys in the order of the key", () -> {
      same(column(data.getPrimaryKeys(null, SCHEMA, "pair"), "COLUMN_NAME"), List.of("b", "a"));
      same(column(data.getPrimaryKeys(null, SCHEMA, "pair"), "KEY_SEQ"), List.of(1, 2));
      same(column(data.getPrimaryKeys(null, SCHEMA, "items"), "PK_NAME"), List.of("items_pkey"));
    });
    check("getIndexInfo, getBestRowIdentifier and keys of other tables", () -> {
      same(column(data.getIndexInfo(null, SCHEMA, "pair", true, false), "COLUMN_NAME"), List.of("b", "a"));
      same(column(data.getBestRowIdentifier(null, SCHEMA, "items", DatabaseMetaData.bestRowSession, true), "COLUMN_NAME"), List.of("id"));
      same(rows(data.getImportedKeys(null, SCHEMA, "items")).size(), 0);
      same(rows(data.getExportedKeys(null, SCHEMA, "items")).size(), 0);
      same(rows(data.getCrossReference(null, SCHEMA, "items", null, SCHEMA, "pair")).size(), 0);
    });
    check("getTypeInfo, getFunctions, getProcedures and their columns", () -> {
      same(column(data.getTypeInfo(), "TYPE_NAME").containsAll(List.of("int4", "timestamptz", "jsonb")), true);
      same(rows(data.getFunctions(null, "pg_catalog", "lower")).size() > 0, true);
      rows(data.getProcedures(null, null, "%"));
      same(rows(data.getFunctionColumns(null, "pg_catalog", "lower", "%")).size() > 0, true);
      rows(data.getProcedureColumns(null, "pg_catalog", "lower", "%"));
    });
    check("privileges, versions, user-defined types and client info", () -> {
      same(rows(data.getTablePrivileges(null, SCHEMA, "items")).size() > 0, true);
      same(rows(data.getColumnPrivileges(null, SCHEMA, "items", "%")).size() > 0, true);
      rows(data.getVersionColumns(null, SCHEMA, "items"));
      rows(data.getUDTs(null, SCHEMA, "%", null));
      rows(data.getClientInfoProperties());
    });
    check("keywords and functions", () -> {
      same(data.getSQLKeywords().contains("ilike"), true);
      same(data.getNumericFunctions().contains("abs"), true);
    });
  }

  static void others(Connection connection) throws Exception {
    check("cancel() from another thread, and setQueryTimeout, end a statement with 57014", () -> {
      Statement slow = connection.createStatement();
      ScheduledExecutorService later = Executors.newScheduledThreadPool(1);
      later.schedule(() -> {
        slow.cancel();
        return null;
      }, 200, TimeUnit.MILLISECONDS);
      fails(() -> slow.executeQuery("SELECT pg_sleep(20)"), "57014");
      later.shutdown();
      slow.setQueryTimeout(1);
      fails(() -> slow.executeQuery("SELECT pg_sleep(20)"), "57014");
    });
    check("NOTIFY is fetched, and warnings arrive", () -> {
      connection.createStatement().execute("LISTEN " + SCHEMA);
      connection.createStatement().execute("NOTIFY " + SCHEMA + ", 'hello'");
      PGNotification[] got = connection.unwrap(PGConnection.class).getNotifications(5000);
      same(List.of(got[0].getName(), got[0].getParameter()), List.of(SCHEMA, "hello"));
      Statement drop = connection.createStatement();
      drop.execute("DROP TABLE IF EXISTS not_there");
      same(drop.getWarnings().getMessage(), "table \"not_there\" does not exist, skipping");
    });
    check("escapes of JDBC: functions, dates, outer joins, limits", () -> {
      same(rows(connection.createStatement().executeQuery("SELECT {fn ucase('a')}, {d '2020-01-01'}, {fn abs(-1)}, {ts '2020-01-01 10:00:00'}")),
          List.of(List.of("A", java.sql.Date.valueOf("2020-01-01"), 1, Timestamp.valueOf("2020-01-01 10:00:00"))));
      same(rows(connection.createStatement().executeQuery("SELECT i.id FROM {oj items i LEFT OUTER JOIN pair p ON p.a = i.id} WHERE i.id < 1")), List.of(List.of(0)));
    });
    check("schema, catalog, client info and isValid", () -> {
      same(connection.getSchema(), SCHEMA);
      connection.setClientInfo("ApplicationName", "scenario");
      same(rows(connection.createStatement().executeQuery("SHOW application_name")), List.of(List.of("scenario")));
      same(connection.isValid(5), true);
    });
    check("simple protocol alone (preferQueryMode)", () -> {
      try (Connection own = connect("preferQueryMode=simple"); PreparedStatement get = own.prepareStatement("SELECT name, price FROM items WHERE id = ? AND name = ?")) {
        get.setInt(1, 7);
        get.setString(2, "item 7");
        same(rows(get.executeQuery()), List.of(List.of("item 7", new BigDecimal("1.75"))));
      }
    });
  }
}
