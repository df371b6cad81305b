// Drizzle on node-postgres: typed queries, prepared ones, transactions within transactions.

const fs = require("node:fs");
const path = require("node:path");
const { drizzle } = require("drizzle-orm/node-postgres");
const { eq, sql } = require("drizzle-orm");
const { integer, pgTable, serial, text } = require("drizzle-orm/pg-core");
const { Pool } = require("pg");
const { OUTSIDE, check, checkDenial, checkErrors, errorOf, say, tryAll } = require("./features");

const tickets = pgTable("tickets", {
  id: integer("id").primaryKey(), subject: text("subject"), priority: integer("priority"), email: text("email"),
});
const comments = pgTable("comments", {
  id: serial("id"), ticket: integer("ticket"), author: text("author"), text: text("text"),
});
const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: 2 });
const db = drizzle(pool);
const goesOn = async () => check((await db.execute(sql`SELECT 1 AS one`)).rows[0].one === 1, "it goes on");

const manifest = path.join(path.dirname(require.resolve("drizzle-orm")), "package.json");
say("client", `Drizzle ${JSON.parse(fs.readFileSync(manifest)).version}`);

tryAll({
  connect: goesOn,

  simple: async () => {
    const found = await db.select().from(tickets).where(eq(tickets.id, 3));
    check(found[0].subject === "subject 3" && found[0].email === "[masked]", found);
    const made = await db.insert(comments).values({ ticket: 1, author: "drizzle", text: "made" }).returning();
    check(made[0].author === "drizzle" && made[0].id > 0, made);
  },

  prepared: async () => {
    const wanted = eq(tickets.id, sql.placeholder("id"));
    const prepared = db.select({ subject: tickets.subject }).from(tickets).where(wanted).prepare("by-id");
    for (let id = 1; id < 5; id += 1) {
      const found = await prepared.execute({ id });
      check(found[0].subject === `subject ${id}`, found);
    }
  },

  transaction: async () => {
    const broken = db.transaction(async (outer) => {
      await outer.update(tickets).set({ priority: 21 }).where(eq(tickets.id, 2));
      await outer.execute(sql.raw(OUTSIDE));
    });
    check((await errorOf(broken)).code === "42501", "a denial");
    await db.transaction(async (outer) => {
      await outer.update(tickets).set({ priority: 22 }).where(eq(tickets.id, 3));
      // A savepoint.
      const inner = outer.transaction(async (nested) => {
        await nested.update(tickets).set({ priority: 21 }).where(eq(tickets.id, 4));
        await nested.execute(sql.raw(OUTSIDE));
      });
      check((await errorOf(inner)).code === "42501", "a denial");
    });
  },

  error: async () => {
    await checkErrors((statement) => db.execute(sql.raw(statement)));
    await goesOn();
  },

  "denied call": async () => {
    await checkDenial((statement) => db.execute(sql.raw(statement)));
    await goesOn();
  },
}).then(() => pool.end());
