// An MCP client by the official SDKs for TypeScript; called as mcp_client.py is, which says how, with
// one option besides: `--sdk 1` for @modelcontextprotocol/sdk 1.x, which knows no revision later than
// 2025-11-25 and always offers that, instead of @modelcontextprotocol/client 2.x.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// Unlike import, it looks into NODE_PATH.
const require = createRequire(import.meta.url);

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: "string" },
    command: { type: "string" },
    token: { type: "string" },
    header: { type: "string", multiple: true, default: [] },
    era: { type: "string", default: "auto" },
    sdk: { type: "string", default: "2" },
  },
});
const steps = JSON.parse(positionals[0] === "-" ? readFileSync(0, "utf8") : positionals[0]);

const first = options.sdk === "1";
const { Client, StreamableHTTPClientTransport } = first
  ? { ...require("@modelcontextprotocol/sdk/client/index.js"), ...require("@modelcontextprotocol/sdk/client/streamableHttp.js") }
  : require("@modelcontextprotocol/client");
const { StdioClientTransport } = require(
  first ? "@modelcontextprotocol/sdk/client/stdio.js" : "@modelcontextprotocol/client/stdio",
);
const schemas = first ? require("@modelcontextprotocol/sdk/types.js") : {};

const say = (line) => console.log(JSON.stringify(line));
const failure = (error) => ({
  type: error.constructor.name,
  code: error.code ?? null,
  message: error.message,
  data: error.data ?? null,
});

function negotiation() {
  if (first) {
    return {};
  }
  switch (options.era) {
    case "auto":
      return { versionNegotiation: { mode: "auto" } };
    case "2026-07-28":
      return { versionNegotiation: { mode: { pin: options.era } } };
    default:
      return { supportedProtocolVersions: [options.era] };
  }
}

const client = new Client(
  { name: "test-node", version: "1" },
  { capabilities: { elicitation: {}, sampling: {}, roots: {} }, ...negotiation() },
);
const handle = (method, schema, handler) => client.setRequestHandler(first ? schemas[schema] : method, handler);
handle("elicitation/create", "ElicitRequestSchema", async ({ params }) => {
  say({ event: "elicitation", params });
  return { action: "accept", content: { reason: "asked by the test" } };
});
handle("sampling/createMessage", "CreateMessageRequestSchema", async ({ params }) => {
  say({ event: "sampling", params });
  return { role: "assistant", content: { type: "text", text: "sampled by the test" }, model: "none" };
});
handle("roots/list", "ListRootsRequestSchema", async () => {
  say({ event: "roots" });
  return { roots: [{ uri: "file:///nowhere", name: "nowhere" }] };
});
client.fallbackNotificationHandler = async ({ method }) => say({ event: "notification", method });

const progressed = (progress) => say({ event: "progress", ...progress });
const timeout = 60_000;

// Says when there is such a file.
function until(path) {
  const giving = new AbortController();
  const looking = setInterval(() => {
    if (existsSync(path)) {
      clearInterval(looking);
      giving.abort();
    }
  }, 50);
  return giving.signal;
}

// Until the first change; where there is a handshake, changes come by themselves.
async function listen({ uris }) {
  const changed = new Promise((resolve) => {
    client.setNotificationHandler("notifications/tools/list_changed", () => resolve("ToolsListChanged"));
    client.setNotificationHandler("notifications/resources/updated", () => resolve("ResourceUpdated"));
  });
  const listening = await client.listen({ toolsListChanged: true, ...(uris && { resourceSubscriptions: uris }) }, { timeout });
  say({ event: "listening", honored: listening.honoredFilter });
  const change = await changed;
  await listening.close();
  return { _meta: { change } };
}

async function perform(step) {
  switch (step.do) {
    case "tools":
      return client.listTools({}, { timeout, cacheMode: "bypass" });
    case "call": {
      const call = { name: step.name, arguments: step.arguments };
      const how = {
        timeout,
        ...(step.progress && { onprogress: progressed }),
        ...(step.give_up && { signal: until(step.give_up) }),
      };
      return first ? client.callTool(call, undefined, how) : client.callTool(call, how);
    }
    case "resources":
      return client.listResources({}, { timeout, cacheMode: "bypass" });
    case "templates":
      return client.listResourceTemplates({}, { timeout, cacheMode: "bypass" });
    case "read":
      return client.readResource({ uri: step.uri }, { timeout, cacheMode: "bypass" });
    case "prompts":
      return client.listPrompts({}, { timeout, cacheMode: "bypass" });
    case "prompt":
      return client.getPrompt({ name: step.name, arguments: step.arguments }, { timeout });
    case "ping":
      return client.ping({ timeout });
    case "listen":
      return listen(step);
    case "wait":
      await new Promise((resolve) => setTimeout(resolve, step.seconds * 1000));
      return {};
    default:
      throw new Error(`no such step: ${JSON.stringify(step)}`);
  }
}

function transport() {
  if (options.command) {
    const [command, ...args] = JSON.parse(options.command);
    return new StdioClientTransport({ command, args, env: process.env });
  }
  const headers = Object.fromEntries(options.header.map((header) => header.split(/: (.*)/, 2)));
  if (options.token) {
    headers.Authorization = `Bearer ${options.token}`;
  }
  return new StreamableHTTPClientTransport(new URL(options.url), { requestInit: { headers } });
}

let doing = "connect";
try {
  const connection = transport();
  // What the first SDK tells nobody else.
  connection.setProtocolVersion ??= (version) => (connection.protocolVersion = version);
  await client.connect(connection, { timeout });
  const protocol = client.getNegotiatedProtocolVersion?.() ?? connection.protocolVersion ?? null;
  const server = client.getServerVersion() ?? null;
  say({ step: doing, ok: { protocol, server, capabilities: client.getServerCapabilities() } });
  for (const step of steps) {
    doing = step.do;
    try {
      say({ step: doing, ok: await perform(step) });
    } catch (error) {
      say({ step: doing, error: failure(error) });
    }
  }
  doing = "close";
  if (connection.sessionId) {
    await connection.terminateSession();
  }
  await client.close();
} catch (error) {
  say({ step: doing, error: failure(error) });
}
process.exit(0);
