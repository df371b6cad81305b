import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.postgresql.util.PSQLException;
import org.postgresql.util.ServerErrorMessage;

/** pgjdbc as an agent would use it: the URL as it is. Prints a line a finding; the test reads them. */
public class Jdbc {
    public static void main(String[] arguments) throws SQLException {
        String url = System.getenv("JDBC_URL");
        try (Connection connection = DriverManager.getConnection(url)) {
            prepared(connection);
            transaction(connection);
            batch(connection);
            several(connection);
        }
    }

    /** Often enough that the driver prepares it on the server (5) and asks for binary results. */
    private static void prepared(Connection connection) throws SQLException {
        StringBuilder found = new StringBuilder();
        try (PreparedStatement statement =
                connection.prepareStatement("SELECT id, subject, email FROM tickets WHERE id = ?")) {
            for (int id = 1; id <= 8; id++) {
                statement.setInt(1, id);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    found.append(rows.getInt(1)).append(' ').append(rows.getString(3)).append(',');
                }
            }
        }
        say("prepared", found);
    }

    private static void transaction(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("UPDATE tickets SET priority = 41 WHERE id = 2");
            statement.executeUpdate("DELETE FROM billing.cards");
        } catch (PSQLException denied) {
            ServerErrorMessage message = denied.getServerErrorMessage();
            say("code", denied.getSQLState());
            say("detail", message.getDetail());
            say("hint", message.getHint());
            connection.rollback();
        }
        try (PreparedStatement statement =
                connection.prepareStatement("UPDATE tickets SET priority = ? WHERE id = ?")) {
            statement.setInt(1, 42);
            statement.setInt(2, 3);
            say("updated", statement.executeUpdate());
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    /** One Sync for many Executes. */
    private static void batch(Connection connection) throws SQLException {
        try (PreparedStatement statement =
                connection.prepareStatement("INSERT INTO comments (ticket, author, text) VALUES (?, 'jdbc', ?)")) {
            for (int id = 1; id <= 10; id++) {
                statement.setInt(1, id);
                statement.setString(2, "batch " + id);
                statement.addBatch();
            }
            say("batch", statement.executeBatch().length);
        }
    }

    private static void several(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM tickets ORDER BY id")) {
            // A portal that is read in pieces.
            statement.setFetchSize(3);
            int count = 0;
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) {
                    count++;
                }
            }
            say("pieces", count);
        }
        connection.commit();
    }

    private static void say(String name, Object value) {
        System.out.println(name + "=" + value);
    }
}
