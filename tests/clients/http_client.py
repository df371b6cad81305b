"""Requests by the HTTP clients of Python: takes a list of them, prints a JSON line for each answer.

http_client.py requests|httpx|httpx2 REQUESTS

`httpx2` is httpx that offers HTTP/2. REQUESTS is a JSON array, or `-` for standard input, of
  {"method": "GET", "url": …, "headers": {…}, "body": TEXT or "json": …, "follow": false, "stream": false, "digest": false}
of which all but the url may be left out. All are made on one session, with what the environment says about
proxies (HTTP_PROXY, HTTPS_PROXY, NO_PROXY) and authorities (REQUESTS_CA_BUNDLE, SSL_CERT_FILE). An answer is
  {"status": 200, "http": "1.1", "url": …, "headers": [[NAME, VALUE]…], "body": TEXT or "body_base64": …}
decoded; "stream" gives "pieces" instead of a body, [[MILLISECONDS, TEXT]…] as they came, "digest" gives "size" and
"sha256". What went wrong is {"error": {"type": …, "message": …}}, and a body that broke off has one besides.

{"url": "ws://…", "headers": {…}, "messages": [TEXT…]} is a WebSocket (by websockets), which sends one message after
the other and waits for one after each: {"messages": [TEXT…], "closed": CODE or null}.
"""

import asyncio
import base64
import hashlib
import json
import sys
import time

import httpx
import requests
import websockets


def failure(error):
    return {"type": type(error).__name__, "message": str(error)}


def body_of(request, pieces):
    """What the pieces make together, as the request wants it."""
    start, got, error = time.monotonic(), [], None
    try:
        for piece in pieces:
            got.append((int((time.monotonic() - start) * 1000), piece))
    except Exception as broken:
        error = {"error": failure(broken)}
    body = b"".join(piece for _, piece in got)
    if request.get("digest"):
        shown = {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    elif request.get("stream"):
        shown = {"pieces": [[at, piece.decode("utf-8", "replace")] for at, piece in got]}
    else:
        try:
            shown = {"body": body.decode()}
        except UnicodeDecodeError:
            shown = {"body_base64": base64.b64encode(body).decode()}
    return {**shown, **(error or {})}


def parts(request):
    content = request.get("body")
    return {
        "method": request.get("method", "GET"),
        "url": request["url"],
        "headers": request.get("headers", {}),
        "json": request.get("json"),
    }, content if content is None else content.encode()


def by_requests(session, request):
    named, content = parts(request)
    answer = session.request(**named, data=content, allow_redirects=request.get("follow", False), stream=True, timeout=30)
    with answer:
        return {
            "status": answer.status_code,
            "http": {10: "1.0", 11: "1.1"}[answer.raw.version],
            "url": answer.url,
            "headers": [[name.lower(), value] for name, value in answer.raw.headers.items()],
            **body_of(request, answer.iter_content(None)),
        }


def by_httpx(session, request):
    named, content = parts(request)
    with session.stream(**named, content=content, follow_redirects=request.get("follow", False)) as answer:
        return {
            "status": answer.status_code,
            "http": answer.http_version.removeprefix("HTTP/"),
            "url": str(answer.url),
            "headers": [[name.lower(), value] for name, value in answer.headers.multi_items()],
            **body_of(request, answer.iter_bytes()),
        }


async def by_websocket(request):
    got, closed = [], None
    async with websockets.connect(request["url"], additional_headers=request.get("headers", {})) as socket:
        try:
            for message in request["messages"]:
                await socket.send(message)
                got.append(await asyncio.wait_for(socket.recv(), 10))
        except websockets.ConnectionClosed as end:
            closed = end.rcvd.code if end.rcvd else 1006
    return {"messages": got, "closed": closed}


def main():
    _, client, wanted = sys.argv
    if client == "requests":
        session, make = requests.Session(), by_requests
    else:
        session, make = httpx.Client(http2=client == "httpx2", timeout=30), by_httpx
    for request in json.loads(sys.stdin.read() if wanted == "-" else wanted):
        try:
            answer = asyncio.run(by_websocket(request)) if "messages" in request else make(session, request)
        except Exception as error:
            answer = {"error": failure(error)}
        print(json.dumps(answer), flush=True)


main()
