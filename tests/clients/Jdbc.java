import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import org.postgresql.PGConnection;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** pgjdbc as an agent would use it: the URL as it is. A line for each feature; see features.py. */
public class Jdbc {
    private static final String OUTSIDE = "DELETE FROM billing.cards";
    private static Connection connection;

    private interface Act {
        void run() throws Exception;
    }

    public static void main(String[] arguments) {
        System.out.println("client: JDBC " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        feature("connect", () -> {
            connection = DriverManager.getConnection(System.getenv("JDBC_URL"));
            check(connection.isValid(5), "valid");
        });
        if (connection == null) {
            System.exit(1);
        }
        feature("simple", Jdbc::simple);
        feature("prepared", Jdbc::prepared);
        feature("transaction", Jdbc::transaction);
        feature("copy in", () -> {
            StringReader rows = new StringReader("1\tjdbc\tcopied\n2\tjdbc\tcopied\n");
            long count = connection.unwrap(PGConnection.class).getCopyAPI()
                    .copyIn("COPY comments (ticket, author, text) FROM STDIN", rows);
            check(count == 2, count);
        });
        feature("copy out", () -> {
            StringWriter rows = new StringWriter();
            connection.unwrap(PGConnection.class).getCopyAPI()
                    .copyOut("COPY (SELECT id, email FROM tickets WHERE id = 1) TO STDOUT", rows);
            check(rows.toString().equals("1\t[masked]\n"), rows);
        });
        feature("cancel", () -> {
            try (Statement statement = connection.createStatement()) {
                // The driver cancels it.
                statement.setQueryTimeout(1);
                PSQLException cancelled =
                        errorOf(() -> statement.executeQuery("SELECT count(*) FROM generate_series(1, 100000000000)"));
                check(cancelled.getSQLState().equals("57014"), cancelled);
            }
            goesOn();
        });
        feature("error", () -> {
            ServerErrorMessage misspelt = reportOf("SELECT txt FROM comments");
            check(misspelt.getSQLState().equals("42703") && misspelt.getHint().contains("comments.text"), misspelt);
            ServerErrorMessage malformed = reportOf("SELECT '{1'::int[]");
            check(malformed.getSQLState().equals("22P02") && malformed.getDetail() != null, malformed);
            ServerErrorMessage taken =
                    reportOf("INSERT INTO comments (id, ticket, author, text) VALUES (1, 1, 'a', 'b')");
            check(taken.getSQLState().equals("23505") && taken.getConstraint().equals("comments_pkey"), taken);
            check(taken.getDetail() == null, taken);
            goesOn();
        });
        feature("denied call", () -> {
            ServerErrorMessage denied = reportOf(OUTSIDE);
            check(denied.getSQLState().equals("42501"), denied);
            check(denied.getMessage().contains("outside the scope of this run"), denied);
            check(denied.getDetail().contains("delete") && denied.getDetail().contains("billing.cards"), denied);
            check(denied.getHint().contains("[[destroy]]"), denied);
            goesOn();
        });
        feature("metadata", Jdbc::metadata);
    }

    private static void simple() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            check(statement.execute("SELECT 1; SELECT email FROM tickets WHERE id = 3"), "rows");
            check(statement.getMoreResults(), "more rows");
            check(all(statement.getResultSet(), 1).equals(List.of("[masked]")), "masked");
        }
    }

    private static void prepared() throws SQLException {
        // Often enough that the driver prepares it on the server (5) and asks for binary results.
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT id, subject, email FROM tickets WHERE id = ?")) {
            for (int id = 1; id <= 8; id++) {
                statement.setInt(1, id);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    check(rows.getInt(1) == id && rows.getString(3).equals("[masked]"), id);
                }
            }
        }
        // One Sync for many Executes.
        try (PreparedStatement statement =
                connection.prepareStatement("INSERT INTO comments (ticket, author, text) VALUES (?, 'jdbc', ?)")) {
            for (int id = 1; id <= 10; id++) {
                statement.setInt(1, id);
                statement.setString(2, "batch " + id);
                statement.addBatch();
            }
            check(statement.executeBatch().length == 10, "a batch");
        }
        try (PreparedStatement statement = connection.prepareStatement(
                "INSERT INTO comments (ticket, author) VALUES (1, 'jdbc')", Statement.RETURN_GENERATED_KEYS)) {
            statement.executeUpdate();
            check(all(statement.getGeneratedKeys(), 1).size() == 1, "a generated key");
        }
        // A portal that is read in pieces.
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM tickets ORDER BY id")) {
            statement.setFetchSize(3);
            check(all(statement.executeQuery(), 1).size() == 20, "pieces");
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void transaction() throws SQLException {
        connection.setAutoCommit(false);
        update(21, 2);
        check(errorOf(() -> execute(OUTSIDE)).getSQLState().equals("42501"), "a denial");
        connection.rollback();
        update(22, 3);
        Savepoint savepoint = connection.setSavepoint();
        update(21, 4);
        check(errorOf(() -> execute(OUTSIDE)).getSQLState().equals("42501"), "a denial");
        connection.rollback(savepoint);
        connection.commit();
        connection.setAutoCommit(true);
    }

    private static void metadata() throws SQLException {
        DatabaseMetaData metadata = connection.getMetaData();
        check(all(metadata.getTables(null, "public", "%", new String[] {"TABLE", "VIEW"}), "TABLE_NAME")
                .containsAll(List.of("comments", "contacts", "drafts", "tickets")), "tables");
        check(all(metadata.getColumns(null, "public", "drafts", null), "COLUMN_NAME")
                .equals(List.of("id", "text")), "columns");
        check(all(metadata.getPrimaryKeys(null, "public", "tickets"), "COLUMN_NAME").equals(List.of("id")), "keys");
        check(all(metadata.getImportedKeys(null, "public", "comments"), "FKCOLUMN_NAME")
                .equals(List.of("ticket")), "foreign keys");
        check(all(metadata.getIndexInfo(null, "public", "tickets", false, true), "INDEX_NAME")
                .equals(List.of("tickets_pkey")), "indexes");
        check(all(metadata.getSchemas(), "TABLE_SCHEM").contains("billing"), "schemas");
        check(all(metadata.getTypeInfo(), "TYPE_NAME").contains("mood"), "types");
        check(all(metadata.getFunctions(null, "public", "%"), "FUNCTION_NAME").contains("touch"), "functions");
        check(!all(metadata.getTablePrivileges(null, "public", "tickets"), "GRANTEE").isEmpty(), "privileges");
        // Looks for the primary key by itself.
        try (Statement statement =
                connection.createStatement(ResultSet.TYPE_SCROLL_SENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet row = statement.executeQuery("SELECT id, subject, priority FROM tickets WHERE id = 5");
            row.next();
            row.updateInt("priority", 22);
            row.updateRow();
        }
    }

    private static void execute(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
    }

    private static void update(int priority, int id) throws SQLException {
        try (PreparedStatement statement =
                connection.prepareStatement("UPDATE tickets SET priority = ? WHERE id = ?")) {
            statement.setInt(1, priority);
            statement.setInt(2, id);
            check(statement.executeUpdate() == 1, "an update");
        }
    }

    private static void goesOn() throws SQLException {
        try (Statement statement = connection.createStatement()) {
            check(all(statement.executeQuery("SELECT 1"), 1).equals(List.of("1")), "it goes on");
        }
    }

    private static List<String> all(ResultSet rows, Object column) throws SQLException {
        List<String> found = new ArrayList<>();
        while (rows.next()) {
            found.add(column instanceof Integer at ? rows.getString(at) : rows.getString((String) column));
        }
        return found;
    }

    private static PSQLException errorOf(Act act) {
        try {
            act.run();
        } catch (PSQLException error) {
            return error;
        } catch (Exception other) {
            throw new IllegalStateException(other);
        }
        throw new IllegalStateException("it worked");
    }

    private static ServerErrorMessage reportOf(String sql) {
        return errorOf(() -> execute(sql)).getServerErrorMessage();
    }

    private static void check(boolean holds, Object what) {
        if (!holds) {
            throw new IllegalStateException("not so: " + what);
        }
    }

    private static void feature(String name, Act act) {
        String outcome = "works";
        try {
            act.run();
        } catch (PSQLException error) {
            ServerErrorMessage message = error.getServerErrorMessage();
            boolean denied = message != null
                    && "42501".equals(message.getSQLState())
                    && message.getMessage().contains("call denied")
                    && message.getDetail() != null
                    && message.getHint() != null;
            outcome = denied ? "denied" : "failed";
            if (!denied) {
                error.printStackTrace();
            }
        } catch (Exception error) {
            outcome = "failed";
            error.printStackTrace();
        }
        System.out.println(name + ": " + outcome);
    }
}
