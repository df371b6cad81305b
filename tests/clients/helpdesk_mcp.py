"""A ticket store as an MCP server, by the official SDK for Python; helpdesk_mcp.mjs is the same by the one for TypeScript.

helpdesk_mcp.py                  on stdin and stdout
helpdesk_mcp.py --http [--json] [--stateless]
                                 as streamable HTTP at /mcp; prints `port PORT` when it listens. With --json an
                                 answer is a JSON document rather than a stream, and drops what would come before it;
                                 with --stateless there are no sessions, whatever the revision.

Both speak the revisions with a handshake (over HTTP with sessions) and 2026-07-28.

Environment:
JOURNAL         a file; every message that came is a line in it, before it is answered: method, params, and the
                headers where there are some
HELPDESK_TOKEN  over HTTP, a request without it as bearer token is answered 401
HELPDESK_PULL   a file; what is in it, as JSON {"TOOL": {"description": …}}, is laid over the definitions of tools
                whenever these are listed. That they have changed is told whenever the file does.
"""

import argparse
import json
import os
import socket
from typing import Annotated, Any, Literal

import anyio
import mcp_types as types
import uvicorn
from journal import DATA, journal, listening
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

TICKETS = {ticket["id"]: {**ticket, "comments": []} for ticket in DATA["tickets"]}
CUSTOMERS = {customer["id"]: customer for customer in DATA["customers"]}


def pulled():
    try:
        return json.load(open(os.environ["HELPDESK_PULL"], encoding="utf-8"))
    except (KeyError, FileNotFoundError):
        return {}


class Helpdesk(MCPServer):
    async def list_tools(self):
        changes = pulled()
        tools = [tool.model_dump(by_alias=True, exclude_none=True) for tool in await super().list_tools()]
        return [types.Tool.model_validate({**tool, **changes.get(tool["name"], {})}) for tool in tools]


sessions = set()


async def journalled(context, go_on):
    headers = dict(context.request.headers) if context.request else None
    journal(method=context.method, params=context.params, headers=headers)
    if context.method == "notifications/initialized":
        sessions.add(context.session)
    return await go_on(context)


changes = InMemorySubscriptionBus()
server = Helpdesk(
    "helpdesk",
    version="1.0.0",
    instructions="Tickets and the customers who wrote them.",
    log_level="WARNING",
    middleware=[journalled],
    subscriptions=changes,
)
READS = types.ToolAnnotations(read_only_hint=True)
DESTROYS = types.ToolAnnotations(destructive_hint=True)


def ticket_of(id):
    if id not in TICKETS:
        raise ToolError(f"no ticket {id}")
    return TICKETS[id]


@server.tool(description="Lists the tickets.", annotations=READS)
def list_tickets() -> dict[str, Any]:
    return {"tickets": [{key: one[key] for key in ("id", "subject", "priority")} for one in TICKETS.values()]}


@server.tool(description="A ticket with its text and comments.", annotations=READS)
def get_ticket(id: int) -> dict[str, Any]:
    return ticket_of(id)


@server.tool(description="Adds a comment to a ticket.")
def add_comment(ticket: int, text: str, visibility: Literal["internal", "public"] = "internal") -> str:
    ticket_of(ticket)["comments"].append({"text": text, "visibility": visibility})
    return f"commented on {ticket}"


@server.tool(description="Sets the priority of a ticket.")
def set_priority(ticket: int, priority: Annotated[int, Field(ge=1, le=5)]) -> str:
    ticket_of(ticket)["priority"] = priority
    return f"priority of {ticket} is {priority}"


@server.tool(description="Deletes a ticket for good.", annotations=DESTROYS)
def delete_ticket(id: int) -> str:
    del TICKETS[ticket_of(id)["id"]]
    return f"deleted {id}"


@server.tool(description="What is known of a customer: addresses, card.", annotations=READS)
def lookup_customer(customer: str) -> dict[str, Any]:
    if customer not in CUSTOMERS:
        raise ToolError(f"no customer {customer}")
    return CUSTOMERS[customer]


@server.tool(description="Exports all tickets, and reports how far it is.", annotations=READS)
async def export_tickets(context: Context) -> str:
    for done, ticket in enumerate(list(TICKETS.values()), 1):
        await context.report_progress(done, len(TICKETS), f"exported {ticket['subject']}")
        # The SDK for TypeScript loses what comes together with the answer.
        await anyio.sleep(0.02)
    return "\n".join(ticket["text"] for ticket in TICKETS.values())


class Reason(BaseModel):
    reason: str


async def ask_reason(ticket: int) -> Elicit[Reason]:
    return Elicit(f"Why is ticket {ticket} to be escalated?", Reason)


@server.tool(description="Escalates a ticket; asks the user why.")
async def escalate(ticket: int, reason: Annotated[Reason, Resolve(ask_reason)]) -> str:
    return f"escalated {ticket_of(ticket)['id']}: {reason.reason}"


async def ask_summary(ticket: int) -> Sample:
    content = types.TextContent(type="text", text=f"Summarize: {ticket_of(ticket)['text']}")
    return Sample([types.SamplingMessage(role="user", content=content)], max_tokens=100)


@server.tool(description="Summarizes a ticket by the client's own model.", annotations=READS)
async def summarize(ticket: int, answer: Annotated[types.CreateMessageResult, Resolve(ask_summary)]) -> str:
    return f"summary of {ticket}: {answer.content.text}"


async def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool(description="Attaches the logs in the client's folders; asks which these are.")
async def attach_logs(ticket: int, answer: Annotated[types.ListRootsResult, Resolve(ask_roots)]) -> str:
    return f"attached to {ticket_of(ticket)['id']}: " + ", ".join(str(root.uri) for root in answer.roots)


@server.resource("helpdesk://handbook", name="handbook", mime_type="text/plain")
def handbook() -> str:
    return "Refunds need a supervisor. Ask grace@nanoseconds.example."


@server.resource("ticket://{id}", name="ticket", mime_type="application/json")
def ticket(id: str) -> str:
    return json.dumps(ticket_of(int(id)))


@server.prompt(description="How to sort a ticket.")
def triage(ticket: str) -> str:
    return f"Read ticket {ticket}, set its priority, and comment on it."


async def watch():
    before = pulled()
    while True:
        await anyio.sleep(0.05)
        if (now := pulled()) != before:
            before = now
            await changes.publish(ToolsListChanged())
            for session in list(sessions):
                try:
                    await session.send_tool_list_changed()
                except anyio.ClosedResourceError:
                    sessions.discard(session)


async def serve_stdio():
    from mcp.server.stdio import stdio_server

    options = server._lowlevel_server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        await server._lowlevel_server.run(read, write, options)


async def serve_http(json_response, stateless):
    app = server.streamable_http_app(json_response=json_response, stateless_http=stateless)
    token = os.environ.get("HELPDESK_TOKEN")

    async def guarded(scope, receive, send):
        given = dict(scope.get("headers", [])).get(b"authorization", b"").decode()
        if scope["type"] == "http" and token and given != f"Bearer {token}":
            refusal = JSONResponse({"error": "invalid_token"}, 401, {"www-authenticate": "Bearer"})
            return await refusal(scope, receive, send)
        await app(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    listening(listener.getsockname()[1])
    await uvicorn.Server(uvicorn.Config(guarded, log_level="warning")).serve(sockets=[listener])


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--http", action="store_true")
    options.add_argument("--json", action="store_true")
    options.add_argument("--stateless", action="store_true")
    options = options.parse_args()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        if options.http:
            await serve_http(options.json, options.stateless)
        else:
            await serve_stdio()
        tasks.cancel_scope.cancel()


anyio.run(main)
