// node-postgres as an agent would use it: the URL as it is. Prints one JSON object; the test reads it.

const { Client, Pool } = require("pg");

async function main() {
  const report = {};
  const client = new Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();

  const value = async (query) => Object.values((await client.query(query)).rows[0])[0];
  report.parametrised = await value({ text: "SELECT subject FROM tickets WHERE id = $1", values: [3] });

  // A named statement is prepared once and used again.
  report.prepared = [];
  for (let id = 1; id < 5; id += 1) {
    report.prepared.push(await value({ name: "by-id", text: "SELECT id FROM tickets WHERE id = $1", values: [id] }));
  }

  const binary = await client.query({
    // Texts only: its own reader of binary numbers is broken.
    text: "SELECT subject, email FROM tickets WHERE id = $1", values: [2], binary: true, rowMode: "array",
  });
  report.binary = binary.rows[0];
  report.format = binary.fields[0].format;

  await client.query("BEGIN");
  try {
    await client.query("UPDATE tickets SET priority = $1 WHERE id = 2", [31]);
    await client.query("DELETE FROM billing.cards WHERE id = $1", [1]);
  } catch (error) {
    report.denied = { code: error.code, detail: error.detail, hint: error.hint };
    await client.query("ROLLBACK");
  }
  await client.query("BEGIN");
  await client.query("UPDATE tickets SET priority = $1 WHERE id = $2", [32, 3]);
  await client.query("COMMIT");

  // Several statements in one string.
  const several = await client.query("SELECT 1 AS one; SELECT 2 AS two");
  report.several = several.map((result) => Object.values(result.rows[0])[0]);
  await client.end();

  const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 4 });
  const together = await Promise.all(
    [1, 2, 3, 4, 5, 6].map((id) => pool.query("SELECT id FROM tickets WHERE id = $1", [id])),
  );
  report.pool = together.map((result) => result.rows[0].id);
  await pool.end();

  process.stdout.write(JSON.stringify(report));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
