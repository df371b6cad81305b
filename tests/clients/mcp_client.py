"""An MCP client by the official SDK for Python: takes steps, prints a JSON line for each.

mcp_client.py --url URL [--token TOKEN] [--header 'NAME: VALUE']... [--era ERA] STEPS
mcp_client.py --command '["PROGRAM", "ARGUMENT"]' [--era ERA] STEPS

STEPS is a JSON array, or `-` for standard input, of
  {"do": "tools" | "resources" | "templates" | "prompts" | "ping"}
  {"do": "call", "name": …, "arguments": {…}, "progress": false}
      with "give_up": FILE it does not wait for the answer any more once there is such a file
  {"do": "read", "uri": …}    {"do": "prompt", "name": …, "arguments": {…}}
  {"do": "listen", "uris": […]}   waits for the first change (2026-07-28 alone); {"do": "wait", "seconds": …} just waits
Nothing comes from a cache. For each, and before them for {"step": "connect"}, a line is printed:
  {"step": …, "ok": {…}}   what the SDK gives to its caller; for connect: protocol, server, capabilities
  {"step": …, "error": {"type": …, "code": …, "message": …, "data": …}}   what it throws; after connect, the end
and between them {"event": "progress" | "notification" | "elicitation" | "sampling" | "roots" | "listening", …} for
what the server sends or asks; what it asks is answered: `asked by the test`, `sampled by the test`.

A command gets the whole environment, which the SDK by itself does not hand on. ERA is `auto` (asks the server first, as the SDK does by itself), a revision that needs no handshake
(2026-07-28), or one that does (2025-11-25, 2025-06-18).
"""

import argparse
import asyncio
import json
import os
import sys

import httpx2
import mcp.client.session
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS


def say(**line):
    print(json.dumps(line), flush=True)


def wire(result):
    return result.model_dump(by_alias=True, mode="json", exclude_none=True)


def failure(error):
    """The innermost of what an SDK wraps in groups of exceptions."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return {
        "type": type(error).__name__,
        "code": getattr(error, "code", None),
        "message": str(error),
        "data": getattr(error, "data", None),
    }


async def elicited(_context, params):
    say(event="elicitation", params=wire(params))
    return types.ElicitResult(action="accept", content={"reason": "asked by the test"})


async def sampled(_context, params):
    say(event="sampling", params=wire(params))
    return types.CreateMessageResult(
        role="assistant", content=types.TextContent(type="text", text="sampled by the test"), model="none"
    )


async def roots(_context):
    say(event="roots")
    return types.ListRootsResult(roots=[types.Root(uri="file:///nowhere", name="nowhere")])


async def heard(message):
    if isinstance(message, Exception):
        say(event="exception", error=failure(message))
    elif hasattr(message, "method"):
        say(event="notification", method=message.method)


async def progressed(progress, total, message):
    say(event="progress", progress=progress, total=total, message=message)


async def until(path, calling):
    task = asyncio.ensure_future(calling)
    while not task.done() and not os.path.exists(path):
        await asyncio.sleep(0.05)
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
        raise TimeoutError("given up")
    return task.result()


async def perform(client, step):
    match step["do"]:
        case "tools":
            return await client.list_tools(cache_mode="bypass")
        case "call":
            calling = client.call_tool(
                step["name"], step.get("arguments"), progress_callback=progressed if step.get("progress") else None
            )
            return await until(step["give_up"], calling) if "give_up" in step else await calling
        case "resources":
            return await client.list_resources(cache_mode="bypass")
        case "templates":
            return await client.list_resource_templates(cache_mode="bypass")
        case "read":
            return await client.read_resource(step["uri"], cache_mode="bypass")
        case "prompts":
            return await client.list_prompts(cache_mode="bypass")
        case "prompt":
            return await client.get_prompt(step["name"], step.get("arguments"))
        case "ping":
            return await client.send_ping()
        case "listen":
            # Until the first change; where there is a handshake, changes come by themselves.
            async with client.listen(tools_list_changed=True, resource_subscriptions=step.get("uris", [])) as changes:
                say(event="listening", honored=wire(changes.honored))
                async for change in changes:
                    return types.Result(_meta={"change": type(change).__name__})
        case "wait":
            await asyncio.sleep(step["seconds"])
            return types.Result()
    raise SystemExit(f"no such step: {step}")


async def main():
    arguments = argparse.ArgumentParser()
    server = arguments.add_mutually_exclusive_group(required=True)
    server.add_argument("--url")
    server.add_argument("--command")
    arguments.add_argument("--token")
    arguments.add_argument("--header", action="append", default=[])
    arguments.add_argument("--era", default="auto")
    arguments.add_argument("steps")
    arguments = arguments.parse_args()
    steps = json.loads(sys.stdin.read() if arguments.steps == "-" else arguments.steps)

    mode = arguments.era
    if mode in HANDSHAKE_PROTOCOL_VERSIONS:
        # The SDK always offers the latest of them.
        mcp.client.session.LATEST_HANDSHAKE_VERSION = mode
        mode = "legacy"

    if arguments.url:
        headers = dict(header.split(": ", 1) for header in arguments.header)
        if arguments.token:
            headers["Authorization"] = f"Bearer {arguments.token}"
        server = streamable_http_client(arguments.url, http_client=create_mcp_http_client(headers=headers))
    else:
        program, *rest = json.loads(arguments.command)
        server = StdioServerParameters(command=program, args=rest, env=dict(os.environ))
    client = Client(
        server,
        mode=mode,
        read_timeout_seconds=60,
        client_info=types.Implementation(name="test-python", version="1"),
        elicitation_callback=elicited,
        sampling_callback=sampled,
        list_roots_callback=roots,
        message_handler=heard,
    )
    doing = "connect"
    try:
        async with client:
            info = client.server_info
            say(
                step="connect",
                ok={
                    "protocol": client.protocol_version,
                    "server": info and wire(info),
                    "capabilities": wire(client.server_capabilities),
                },
            )
            for step in steps:
                doing = step["do"]
                try:
                    say(step=doing, ok=wire(await perform(client, step)))
                except Exception as error:
                    say(step=doing, error=failure(error))
            doing = "close"
    except Exception as error:
        say(step=doing, error=failure(error))


asyncio.run(main())
