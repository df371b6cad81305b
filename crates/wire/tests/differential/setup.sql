CREATE SCHEMA secret;
CREATE ROLE probe;
-- Whether a name exists is no secret of the server's.
GRANT USAGE ON SCHEMA secret TO probe;
CREATE SEQUENCE numbers;
CREATE TABLE tickets (id int PRIMARY KEY, subject text, email text, priority int);
CREATE TABLE old_tickets (closed date) INHERITS (tickets);
CREATE TABLE comments (id int PRIMARY KEY DEFAULT (random() * 1000000000)::int, ticket int REFERENCES tickets, body text);
CREATE TABLE people (id int PRIMARY KEY DEFAULT (random() * 1000000000)::int, name text, phone text);
CREATE TABLE drafts (id int PRIMARY KEY, body text);
CREATE TABLE events (id int, year int, what text) PARTITION BY LIST (year);
CREATE TABLE events_2023 PARTITION OF events FOR VALUES IN (2023);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES IN (2024);
CREATE TABLE "Odd Name" (id int, "quo""ted" text);
CREATE TABLE secret.cards (id int PRIMARY KEY DEFAULT (random() * 1000000000)::int, holder text, number text);
CREATE TABLE secret.keys (id int PRIMARY KEY, key text);
CREATE VIEW open_tickets AS SELECT id, subject FROM tickets WHERE priority > 0;
CREATE VIEW holders AS SELECT c.holder FROM secret.cards c JOIN people p ON p.id = c.id;
CREATE VIEW all_cards AS SELECT id, number FROM secret.cards;
CREATE MATERIALIZED VIEW ticket_stats AS SELECT priority, count(*) AS n FROM tickets GROUP BY priority;
CREATE DOMAIN short AS text;
CREATE FUNCTION shout(text) RETURNS text LANGUAGE plpgsql STABLE AS $$BEGIN RETURN upper($1); END$$;
CREATE FUNCTION peek(text) RETURNS text LANGUAGE sql STABLE AS
    'SELECT number FROM secret.cards WHERE number <> $1 LIMIT 1';
CREATE FUNCTION secret.unlock(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT key FROM secret.keys LIMIT 1';
CREATE FUNCTION recent(int) RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT id FROM tickets WHERE id > $1';
CREATE FUNCTION leak() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT number FROM secret.cards';
CREATE FUNCTION summary(tickets) RETURNS text LANGUAGE sql STABLE AS 'SELECT $1.subject';
CREATE FUNCTION summary(comments) RETURNS text LANGUAGE sql STABLE AS
    'SELECT subject FROM tickets WHERE id = $1.ticket';
CREATE FUNCTION same(text, text) RETURNS boolean LANGUAGE sql STABLE AS
    'SELECT EXISTS (SELECT FROM secret.keys WHERE key = $1 || $2)';
CREATE OPERATOR ^^^ (LEFTARG = text, RIGHTARG = text, FUNCTION = same);
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public, secret FROM PUBLIC;
GRANT TEMPORARY ON DATABASE postgres TO probe;
INSERT INTO tickets SELECT n, 'subject ' || n, 'a' || n || '@example.com', n FROM generate_series(1, 3) n;
INSERT INTO old_tickets SELECT n, 'old ' || n, 'b', n, now() FROM generate_series(11, 12) n;
INSERT INTO comments SELECT n, n, 'body ' || n FROM generate_series(1, 3) n;
INSERT INTO people SELECT n, 'name ' || n, '555' FROM generate_series(1, 3) n;
INSERT INTO drafts SELECT n, 'draft ' || n FROM generate_series(1, 3) n;
INSERT INTO events SELECT n, 2023 + n % 2, 'what ' || n FROM generate_series(1, 4) n;
INSERT INTO "Odd Name" SELECT n, 'odd' FROM generate_series(1, 2) n;
INSERT INTO secret.cards SELECT n, 'holder ' || n, '4111' FROM generate_series(1, 3) n;
INSERT INTO secret.keys SELECT n, 'key ' || n FROM generate_series(1, 3) n;
REFRESH MATERIALIZED VIEW ticket_stats;
