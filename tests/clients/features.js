// What a client can do through the gateway: a line for each feature, `feature: outcome`; see features.py.

const FEATURES = [
  "connect", "simple", "prepared", "transaction", "copy in", "copy out", "cancel", "error", "denied call", "metadata",
];
const ENDLESS = "SELECT count(*) FROM generate_series(1, 100000000000)";
const MISSPELT = "SELECT txt FROM comments";
const MALFORMED = "SELECT '{1'::int[]";
const TAKEN = "INSERT INTO comments (id, ticket, author, text) VALUES (1, 1, 'a', 'b')";
const OUTSIDE = "DELETE FROM billing.cards";

const say = (feature, outcome) => console.log(`${feature}: ${outcome}`);

// An ORM may wrap the driver's error.
const fields = (error) => (error && error.code === undefined && error.cause ? error.cause : error) || {};

function outcomeOf(error) {
  const { code, message, detail, hint } = fields(error);
  if (code === "42501" && message.includes("call denied") && detail && hint) {
    return "denied";
  }
  console.error(error);
  return "failed";
}

// Tries each feature in turn; what is not there is something that the client does not have.
async function tryAll(features) {
  for (const name of FEATURES) {
    try {
      if (features[name]) {
        await features[name]();
      }
      say(name, features[name] ? "works" : "none");
    } catch (error) {
      say(name, outcomeOf(error));
      if (name === "connect") {
        process.exit(1);
      }
    }
  }
}

async function errorOf(promise) {
  try {
    await promise;
  } catch (error) {
    return fields(error);
  }
  throw new Error("it worked");
}

function check(holds, what) {
  if (!holds) {
    throw new Error(`not so: ${JSON.stringify(what)}`);
  }
}

// `run` runs a statement.
async function checkErrors(run) {
  const misspelt = await errorOf(run(MISSPELT));
  check(misspelt.code === "42703" && misspelt.hint.includes("comments.text"), misspelt);
  const malformed = await errorOf(run(MALFORMED));
  check(malformed.code === "22P02" && malformed.detail, malformed);
  const taken = await errorOf(run(TAKEN));
  check(taken.code === "23505" && taken.constraint === "comments_pkey" && !taken.detail, taken);
}

async function checkDenial(run) {
  const denied = await errorOf(run(OUTSIDE));
  check(denied.code === "42501" && denied.message.includes("outside the scope of this run"), denied);
  check(denied.detail.includes("delete") && denied.detail.includes("billing.cards"), denied);
  check(denied.hint.includes("[[destroy]]"), denied);
}

module.exports = { ENDLESS, OUTSIDE, check, checkDenial, checkErrors, errorOf, say, tryAll };
