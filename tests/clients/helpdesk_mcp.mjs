// A ticket store as an MCP server, by the official SDK for TypeScript (2.x); called as helpdesk_mcp.py is, which
// says how, and has the same tools, resources and prompt.

import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

// Unlike import, it looks into NODE_PATH.
const require = createRequire(import.meta.url);
const { McpServer, ResourceTemplate, acceptedContent, createMcpHandler, inputRequired, inputResponse, isLegacyRequest } =
  require("@modelcontextprotocol/server");
const { StdioServerTransport, serveStdio } = require("@modelcontextprotocol/server/stdio");
const { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } = require("@modelcontextprotocol/node");
const z = require("zod");

const data = JSON.parse(readFileSync(new URL("helpdesk.json", import.meta.url), "utf8"));
const tickets = new Map(data.tickets.map((ticket) => [ticket.id, { ...ticket, comments: [] }]));
const customers = new Map(data.customers.map((customer) => [customer.id, customer]));

// Appends to the file that JOURNAL names; written before anything is done about it.
function journal(message, headers) {
  const { method, params = null } = message;
  appendFileSync(process.env.JOURNAL, `${JSON.stringify({ method, params, headers })}\n`);
}

function pulled() {
  try {
    return JSON.parse(readFileSync(process.env.HELPDESK_PULL, "utf8"));
  } catch {
    return {};
  }
}

const text = (text) => ({ content: [{ type: "text", text }] });
const structured = (value) => ({ ...text(JSON.stringify(value)), structuredContent: value });

function ticketOf(id) {
  const ticket = tickets.get(id);
  if (!ticket) {
    throw new Error(`no ticket ${id}`);
  }
  return ticket;
}

function helpdesk() {
  const server = new McpServer(
    { name: "helpdesk", version: "1.0.0" },
    { instructions: "Tickets and the customers who wrote them." },
  );
  const handle = server.server.setRequestHandler.bind(server.server);
  server.server.setRequestHandler = (method, handler) =>
    handle(method, method !== "tools/list" ? handler : async (...call) => {
      const changes = pulled();
      const listed = await handler(...call);
      return { ...listed, tools: listed.tools.map((tool) => ({ ...tool, ...changes[tool.name] })) };
    });

  const reads = { readOnlyHint: true };
  const tool = (name, description, inputSchema, annotations, run) =>
    server.registerTool(name, { description, inputSchema: z.object(inputSchema), annotations }, run);

  tool("list_tickets", "Lists the tickets.", {}, reads, () =>
    structured({ tickets: [...tickets.values()].map(({ id, subject, priority }) => ({ id, subject, priority })) }));
  tool("get_ticket", "A ticket with its text and comments.", { id: z.int() }, reads, ({ id }) => structured(ticketOf(id)));
  tool(
    "add_comment",
    "Adds a comment to a ticket.",
    { ticket: z.int(), text: z.string(), visibility: z.enum(["internal", "public"]).default("internal") },
    undefined,
    ({ ticket, ...comment }) => {
      ticketOf(ticket).comments.push(comment);
      return text(`commented on ${ticket}`);
    },
  );
  tool(
    "set_priority",
    "Sets the priority of a ticket.",
    { ticket: z.int(), priority: z.int().min(1).max(5) },
    undefined,
    ({ ticket, priority }) => {
      ticketOf(ticket).priority = priority;
      return text(`priority of ${ticket} is ${priority}`);
    },
  );
  tool("delete_ticket", "Deletes a ticket for good.", { id: z.int() }, { destructiveHint: true }, ({ id }) => {
    tickets.delete(ticketOf(id).id);
    return text(`deleted ${id}`);
  });
  tool("lookup_customer", "What is known of a customer: addresses, card.", { customer: z.string() }, reads, ({ customer }) => {
    if (!customers.has(customer)) {
      throw new Error(`no customer ${customer}`);
    }
    return structured(customers.get(customer));
  });
  tool("export_tickets", "Exports all tickets, and reports how far it is.", {}, reads, async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    let progress = 0;
    for (const { subject } of tickets.values()) {
      progress += 1;
      if (progressToken !== undefined) {
        const params = { progressToken, progress, total: tickets.size, message: `exported ${subject}` };
        await mcpReq.notify({ method: "notifications/progress", params });
      }
      // A client by this SDK loses what comes together with the answer.
      await sleep(20);
    }
    return text([...tickets.values()].map((ticket) => ticket.text).join("\n"));
  });
  tool("escalate", "Escalates a ticket; asks the user why.", { ticket: z.int() }, undefined, ({ ticket }, { mcpReq }) => {
    const schema = z.object({ reason: z.string() });
    const given = acceptedContent(mcpReq.inputResponses, "reason", schema);
    if (given) {
      return text(`escalated ${ticketOf(ticket).id}: ${given.reason}`);
    }
    const message = `Why is ticket ${ticket} to be escalated?`;
    return inputRequired({ inputRequests: { reason: inputRequired.elicit({ message, requestedSchema: schema }) } });
  });
  tool("summarize", "Summarizes a ticket by the client's own model.", { ticket: z.int() }, reads, ({ ticket }, { mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, "summary");
    if (given.kind === "sampling") {
      return text(`summary of ${ticket}: ${given.result.content.text}`);
    }
    const content = { type: "text", text: `Summarize: ${ticketOf(ticket).text}` };
    const ask = inputRequired.createMessage({ messages: [{ role: "user", content }], maxTokens: 100 });
    return inputRequired({ inputRequests: { summary: ask } });
  });

  const attach = "Attaches the logs in the client's folders; asks which these are.";
  tool("attach_logs", attach, { ticket: z.int() }, undefined, ({ ticket }, { mcpReq }) => {
    const given = inputResponse(mcpReq.inputResponses, "roots");
    if (given.kind === "roots") {
      return text(`attached to ${ticketOf(ticket).id}: ${given.roots.map((root) => root.uri).join(", ")}`);
    }
    return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } });
  });

  server.registerResource("handbook", "helpdesk://handbook", { mimeType: "text/plain" }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: "text/plain", text: "Refunds need a supervisor. Ask grace@nanoseconds.example." }],
  }));
  const template = new ResourceTemplate("ticket://{id}", { list: undefined });
  server.registerResource("ticket", template, { mimeType: "application/json" }, (uri, { id }) => ({
    contents: [{ uri: uri.href, mimeType: "application/json", text: JSON.stringify(ticketOf(Number(id))) }],
  }));
  server.registerPrompt(
    "triage",
    { description: "How to sort a ticket.", argsSchema: z.object({ ticket: z.string() }) },
    ({ ticket }) => ({
      messages: [
        { role: "user", content: { type: "text", text: `Read ticket ${ticket}, set its priority, and comment on it.` } },
      ],
    }),
  );
  return server;
}

// Tells of changes to the tools, as long as anything else goes on.
function watch(tell) {
  let before = JSON.stringify(pulled());
  setInterval(() => {
    const now = JSON.stringify(pulled());
    if (now !== before) {
      before = now;
      tell();
    }
  }, 50).unref();
}

function overStdio() {
  const lines = new PassThrough();
  let rest = "";
  process.stdin.on("data", (chunk) => {
    const pieces = (rest + chunk).split("\n");
    rest = pieces.pop();
    pieces.filter((line) => line.trim()).forEach((line) => journal(JSON.parse(line), null));
    lines.write(chunk);
  });
  process.stdin.on("end", () => lines.end());
  let current;
  serveStdio(() => (current = helpdesk()), { transport: new StdioServerTransport(lines, process.stdout) });
  watch(() => current?.server.sendToolListChanged());
}

async function overHttp(json) {
  const modern = createMcpHandler(helpdesk, { legacy: "reject", responseMode: json ? "json" : "auto" });
  const sessions = new Map();

  async function withSession(request, response, body) {
    const known = sessions.get(request.headers["mcp-session-id"]);
    if (known) {
      return known.transport.handleRequest(request, response, body);
    }
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: json,
      onsessioninitialized: (id) => void sessions.set(id, { server, transport }),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    const server = helpdesk();
    await server.connect(transport);
    return transport.handleRequest(request, response, body);
  }

  const handler = toNodeHandler(modern);
  const server = createServer(async (request, response) => {
    const token = process.env.HELPDESK_TOKEN;
    if (token && request.headers.authorization !== `Bearer ${token}`) {
      response.writeHead(401, { "content-type": "application/json", "www-authenticate": "Bearer" });
      return response.end('{"error":"invalid_token"}');
    }
    const pieces = await request.toArray();
    const raw = Buffer.concat(pieces).toString();
    let body;
    try {
      body = JSON.parse(raw);
      [body].flat().filter((message) => message.method).forEach((message) => journal(message, request.headers));
    } catch {
      // Not for the journal, but for the SDK to refuse.
    }
    const legacy = await isLegacyRequest(await toWebRequest(request, body), body);
    return legacy ? withSession(request, response, body) : handler(request, response, body);
  });
  server.listen(0, "127.0.0.1", () => console.log("port", server.address().port));
  watch(() => {
    modern.notify.toolsChanged();
    sessions.forEach(({ server }) => server.server.sendToolListChanged());
  });
}

const { values: options } = parseArgs({ options: { http: { type: "boolean" }, json: { type: "boolean" } } });
if (options.http) {
  await overHttp(options.json);
} else {
  overStdio();
}
