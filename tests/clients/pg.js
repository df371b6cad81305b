// node-postgres as an agent would use it: the URL as it is.

const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");
const { Client, Pool } = require("pg");
const { from: copyFrom, to: copyTo } = require("pg-copy-streams");
const { ENDLESS, OUTSIDE, check, checkDenial, checkErrors, errorOf, say, tryAll } = require("./features");

const url = process.env.DATABASE_URL;
const client = new Client({ connectionString: url });
const values = async (query) => (await client.query({ ...query, rowMode: "array" })).rows;
const goesOn = async () => check((await client.query("SELECT 1 AS one")).rows[0].one === 1, "it goes on");

say("client", `node-postgres ${require("pg/package.json").version}`);

tryAll({
  connect: async () => {
    await client.connect();
    const pool = new Pool({ connectionString: url, max: 4 });
    const together = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((id) => pool.query("SELECT id FROM tickets WHERE id = $1", [id])),
    );
    check(together.every((result, at) => result.rows[0].id === at + 1), together);
    await pool.end();
  },

  simple: async () => {
    // Several statements in one string.
    const several = await client.query("SELECT 1 AS one; SELECT email FROM tickets WHERE id = 3");
    check(several[0].rows[0].one === 1 && several[1].rows[0].email === "[masked]", several);
  },

  prepared: async () => {
    // A named statement is prepared once and used again.
    for (let id = 1; id < 5; id += 1) {
      const found = await values({ name: "by-id", text: "SELECT subject FROM tickets WHERE id = $1", values: [id] });
      check(found[0][0] === `subject ${id}`, found);
    }
    // Texts only: its own reader of binary numbers is broken.
    const binary = await values({
      text: "SELECT subject, email FROM tickets WHERE id = $1", values: [2], binary: true,
    });
    check(binary[0][0] === "subject 2" && binary[0][1] === "[masked]", binary);
  },

  transaction: async () => {
    await client.query("BEGIN");
    await client.query("UPDATE tickets SET priority = $1 WHERE id = 2", [21]);
    check((await errorOf(client.query(OUTSIDE))).code === "42501", "a denial");
    await client.query("ROLLBACK");
    await client.query("BEGIN");
    await client.query("UPDATE tickets SET priority = $1 WHERE id = $2", [22, 3]);
    await client.query("SAVEPOINT here");
    await client.query("UPDATE tickets SET priority = 21 WHERE id = 4");
    check((await errorOf(client.query(OUTSIDE))).code === "42501", "a denial");
    await client.query("ROLLBACK TO here");
    await client.query("COMMIT");
  },

  "copy in": async () => {
    const into = client.query(copyFrom("COPY comments (ticket, author, text) FROM STDIN"));
    await pipeline(Readable.from(["1\tnode\tcopied\n", "2\tnode\tcopied\n"]), into);
  },

  "copy out": async () => {
    const chunks = await client.query(copyTo("COPY (SELECT id, email FROM tickets WHERE id = 1) TO STDOUT")).toArray();
    check(Buffer.concat(chunks).toString() === "1\t[masked]\n", chunks.map(String));
  },

  cancel: async () => {
    const query = new (require("pg").Query)(ENDLESS);
    const cancelled = new Promise((resolve) => {
      query.on("error", resolve);
    });
    client.query(query);
    await new Promise((resolve) => setTimeout(resolve, 300));
    new Client({ connectionString: url }).cancel(client, query);
    check((await cancelled).code === "57014", "cancelled");
    await goesOn();
  },

  error: async () => {
    await checkErrors((statement) => client.query(statement));
    await goesOn();
  },

  "denied call": async () => {
    await checkDenial((statement) => client.query(statement));
    await goesOn();
  },
}).then(() => client.end());
