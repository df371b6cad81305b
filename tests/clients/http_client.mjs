// Requests by Node's own fetch: `http_client.mjs REQUESTS`. Requests and answers are as http_client.py has them; fetch
// does not say which version of HTTP it was (it speaks 1.1), and WebSockets are by ws, which knows nothing of proxies.
//
// With NODE_USE_ENV_PROXY=1, fetch does as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say. Authorities are in
// NODE_EXTRA_CA_CERTS.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// Unlike import, it looks into NODE_PATH.
const require = createRequire(import.meta.url);
const WebSocket = require("ws");

// With what was behind it, which is where fetch keeps its reasons.
function failure(error) {
  const reasons = [];
  for (let reason = error; reason instanceof Error; reason = reason.cause) {
    reasons.push(reason.message);
  }
  return { type: error.constructor.name, message: reasons.join(": ") };
}

// What the body is, as the request wants it.
async function bodyOf({ stream, digest }, body) {
  const start = performance.now();
  const got = [];
  let broken = {};
  try {
    for await (const piece of body ?? []) {
      got.push([Math.trunc(performance.now() - start), Buffer.from(piece)]);
    }
  } catch (error) {
    broken = { error: failure(error) };
  }
  const whole = Buffer.concat(got.map(([, piece]) => piece));
  if (digest) {
    return { size: whole.length, sha256: createHash("sha256").update(whole).digest("hex"), ...broken };
  }
  if (stream) {
    return { pieces: got.map(([at, piece]) => [at, piece.toString()]), ...broken };
  }
  const text = whole.toString();
  return { ...(Buffer.from(text).equals(whole) ? { body: text } : { body_base64: whole.toString("base64") }), ...broken };
}

async function ask(request) {
  const { method = "GET", url, follow } = request;
  const headers = { ...request.headers };
  let body = request.body;
  if (request.json !== undefined) {
    body = JSON.stringify(request.json);
    headers["content-type"] ??= "application/json";
  }
  const answer = await fetch(url, { method, headers, body, redirect: follow ? "follow" : "manual" });
  return {
    status: answer.status,
    url: answer.url,
    headers: [...answer.headers],
    ...(await bodyOf(request, answer.body)),
  };
}

function converse({ url, headers, messages }) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, { headers });
    const left = [...messages];
    const got = [];
    const next = () => (left.length ? socket.send(left.shift()) : finish(null));
    const finish = (closed) => {
      resolve({ messages: got, closed });
      socket.close();
    };
    socket.on("open", next);
    socket.on("message", (message, binary) => {
      got.push(binary ? message.toString("hex") : message.toString());
      next();
    });
    socket.on("close", finish);
    socket.on("error", reject);
  });
}

const wanted = process.argv[2];
for (const request of JSON.parse(wanted === "-" ? readFileSync(0, "utf8") : wanted)) {
  try {
    console.log(JSON.stringify(await (request.messages ? converse(request) : ask(request))));
  } catch (error) {
    console.log(JSON.stringify({ error: failure(error) }));
  }
}
process.exit(0);
