import java.sql.*;
import java.util.Properties;

/**
 * pgjdbc logs in: TLS required and verified, by SSLRequest and directly, SCRAM with and without channel binding, and what is refused.
 * Arguments: the server that takes both, the one that wants TLS (host:port), the certificate, another's certificate.
 */
public class Drivers {
  static void same(Object got, Object expected) {
    if (!expected.equals(got)) throw new AssertionError("got " + got + ", expected " + expected);
  }

  static String who(String address, String password, String... properties) throws SQLException {
    Properties given = new Properties();
    given.setProperty("user", "driver");
    given.setProperty("password", password);
    for (String property : properties) given.setProperty(property.split("=")[0], property.split("=")[1]);
    try (Connection connection = DriverManager.getConnection("jdbc:postgresql://" + address + "/arka", given);
        ResultSet set = connection.createStatement().executeQuery("SELECT current_user")) {
      set.next();
      return set.getString(1);
    }
  }

  static void refused(String state, String text, String address, String password, String... properties) {
    try {
      who(address, password, properties);
    } catch (SQLException error) {
      String all = error + " " + error.getCause();
      if (!all.contains(text)) throw new AssertionError("\"" + text + "\" is not in: " + all);
      if (state != null) same(error.getSQLState(), state);
      return;
    }
    throw new AssertionError(text + " was expected");
  }

  static void logsIn(String either, String strict, String certificate, String foreign) throws SQLException {
    String password = "b's";
    String verified = "sslmode=verify-full";
    String root = "sslrootcert=" + certificate;
    for (String negotiation : new String[] {"sslNegotiation=postgres", "sslNegotiation=direct"}) {
      same(who(strict, password, "sslmode=require", negotiation), "driver");
      for (String binding : new String[] {"prefer", "require", "disable"})
        same(who(strict, password, verified, root, negotiation, "channelBinding=" + binding), "driver");
    }
    same(who(either, password, "sslmode=prefer"), "driver");
    same(who(either, password, "sslmode=disable"), "driver");
    refused("28000", "server.tls_required", strict, password, "sslmode=disable");
    refused(null, "hannel", either, password, "sslmode=disable", "channelBinding=require");
    refused("08006", "PKIX", either, password, verified, "sslrootcert=" + foreign);
    refused("28P01", "password authentication failed for user \"driver\"", strict, "wrong", verified, root);
  }

  public static void main(String[] args) {
    System.out.println("client drivers of Java " + Runtime.version().feature());
    try {
      logsIn(args[0], args[1], args[2], args[3]);
      System.out.println("ok pgjdbc");
    } catch (Throwable error) {
      System.out.println("not ok pgjdbc: " + String.valueOf(error).replaceAll("\\s+", " "));
      error.printStackTrace();
    }
  }
}
