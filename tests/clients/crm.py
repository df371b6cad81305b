"""A CRM with a REST API, as a real OpenAPI service (FastAPI): /openapi.json says what it has.

crm.py [--port PORT] [--tls CERTIFICATE KEY [--client-ca FILE]] [--http2] [--with-stdin]

Prints `port PORT` when it listens. HTTP/1.1 by uvicorn; with --http2 by Hypercorn (which also speaks HTTP/1.1),
with TLS as ALPN has it, without TLS to who knows already. With --client-ca a client must show a certificate of it.
With --with-stdin it ends when its standard input does, with the program that started it, and its journal's folder goes.

Environment:
JOURNAL         a file; every request that came is a line in it, before it is answered: method, target (as it was
                on the wire), headers, body, whole (false where the client went away within it), tls, http
CRM_CREDENTIAL  a header line, such as `Authorization: Bearer x`; what comes without it is answered 401
CRM_CLIENT      `ID:SECRET`: what gets a token at /oauth/token by client credentials (RFC 6749, section 4.4),
                valid for CRM_TOKEN_SECONDS (3600) in `Authorization: Bearer`
"""

import argparse
import asyncio
import base64
import gzip
import hashlib
import json
import os
import secrets
import shutil
import socket
import sys
import threading
import time
import urllib.parse

import brotli
import fastapi
import hypercorn.asyncio
import hypercorn.config
import uvicorn
import zstandard
from fastapi import Body, HTTPException, Request, Response, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from journal import DATA, journal, listening
from pydantic import BaseModel

CUSTOMERS = {customer["id"]: customer for customer in DATA["customers"]}
TICKETS = {ticket["id"]: {**ticket, "comments": []} for ticket in DATA["tickets"]}
TOKENS = {}

app = fastapi.FastAPI(title="CRM", version="1.0.0")


class Comment(BaseModel):
    text: str
    visibility: str = "internal"


class Search(BaseModel):
    query: str
    limit: int = 10


def customer_of(id):
    if id not in CUSTOMERS:
        raise HTTPException(404, f"no customer {id}")
    return CUSTOMERS[id]


@app.get("/customers", operation_id="listCustomers")
def list_customers(tier: str | None = None, limit: int = 100):
    found = [customer for customer in CUSTOMERS.values() if tier in (None, customer["tier"])]
    return {"customers": found[:limit]}


@app.get("/customers/{id}", operation_id="getCustomer")
def get_customer(id: str):
    return customer_of(id)


@app.get("/customers/{id}/secrets", operation_id="getCustomerSecrets")
def get_customer_secrets(id: str):
    return {"customer": customer_of(id)["id"], **DATA["secrets"]}


@app.delete("/customers/{id}", operation_id="deleteCustomer", status_code=204)
def delete_customer(id: str):
    del CUSTOMERS[customer_of(id)["id"]]


@app.get("/tickets/{id}", operation_id="getTicket")
def get_ticket(id: int):
    if id not in TICKETS:
        raise HTTPException(404, f"no ticket {id}")
    return TICKETS[id]


@app.post("/tickets/{id}/comments", operation_id="createComment", status_code=201)
def create_comment(id: int, comment: Comment):
    get_ticket(id)["comments"].append(comment.model_dump())
    return comment


@app.api_route("/tagged", methods=["GET", "PATCH"], include_in_schema=False)
def tagged(request: Request):
    """A customer under an entity tag that is made of the whole, as many servers make it."""
    body = json.dumps(CUSTOMERS["ada"])
    tag = f'"{hashlib.sha1(body.encode()).hexdigest()}"'
    if request.method == "GET" and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    if request.method == "PATCH" and request.headers.get("if-match") != tag:
        return Response(status_code=412)
    return Response(body, media_type="application/json", headers={"etag": tag, "x-checksum-sha1": tag})


@app.post("/search", operation_id="search")
def search(search: Search):
    """A read, though by POST."""
    found = [customer for customer in CUSTOMERS.values() if search.query.lower() in json.dumps(customer).lower()]
    return {"found": found[: search.limit]}


@app.get("/events", operation_id="streamEvents")
async def stream_events(count: int = 3, pause: float = 0.05):
    """Server-sent events, with a pause in seconds before each but the first."""

    async def events():
        for number in range(count):
            customer = DATA["customers"][number % len(DATA["customers"])]
            await asyncio.sleep(pause if number else 0)
            yield f"id: {number}\nevent: customer\ndata: {json.dumps(customer)}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/large", operation_id="getLarge")
async def get_large(size: int = 1_000_000):
    """Chunked JSON of at least so many bytes."""

    async def pieces():
        yield '{"customers":['
        written, number = 0, 0
        while written < size:
            batch = []
            for _ in range(200):
                customer = {"number": number, **DATA["customers"][number % len(DATA["customers"])]}
                batch.append(("," if number else "") + json.dumps(customer))
                number += 1
            piece = "".join(batch)
            written += len(piece)
            yield piece
        yield f'],"count":{number}}}'

    return StreamingResponse(pieces(), media_type="application/json")


@app.get("/customers.csv", operation_id="exportCustomers")
def export_customers():
    rows = [f"{one['id']},{one['name']},{one['emails'][0]},{one['card']}" for one in DATA["customers"]]
    return PlainTextResponse("id,name,email,card\r\n" + "\r\n".join(rows) + "\r\n", media_type="text/csv")


@app.get("/notes", operation_id="getNotes")
def get_notes():
    return PlainTextResponse("\n".join(ticket["text"] for ticket in DATA["tickets"]))


@app.get("/binary", operation_id="getBinary")
def get_binary(size: int = 4096):
    """Every byte in turn."""
    return Response((bytes(range(256)) * (size // 256 + 1))[:size], media_type="application/octet-stream")


ENCODINGS = {
    "gzip": gzip.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
    "identity": bytes,
}


@app.get("/encoded", operation_id="getEncoded")
def get_encoded(request: Request, size: int = 0, encoding: str | None = None):
    """Customers in the first encoding that is accepted, or in this one, asked for or not; and so many spaces."""
    accepted = [item.split(";")[0].strip() for item in request.headers.get("accept-encoding", "").split(",")]
    encoding = encoding or next((item for item in accepted if item in ENCODINGS), "identity")
    body = json.dumps({"customers": DATA["customers"], "padding": " " * size}).encode()
    headers = {"vary": "accept-encoding"}
    if encoding != "identity":
        headers["content-encoding"] = encoding
    return Response(ENCODINGS[encoding](body), media_type="application/json", headers=headers)


@app.get("/redirect", operation_id="redirect")
def redirect(to: str = "/customers/ada", status: int = 302):
    return RedirectResponse(to, status)


@app.get("/cookies", operation_id="setCookies")
def set_cookies():
    response = JSONResponse({"set": True})
    response.set_cookie("session", "abc123", httponly=True)
    response.set_cookie("theme", "dark")
    return response


@app.get("/status/{code}", operation_id="getStatus")
def get_status(code: int, pause: float = 0):
    """An answer of this status, after a pause in seconds."""
    time.sleep(pause)
    return Response(status_code=code) if code in (204, 304) else JSONResponse({"status": code}, code)


@app.api_route("/echo", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], include_in_schema=False)
@app.api_route("/echo/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
async def echo(request: Request):
    """What came, as it came."""
    return described(request.scope, await request.body())


@app.websocket("/ws")
async def echo_messages(socket: WebSocket):
    """Each message back as it is, until `bye`; a ticket's text for its number."""
    wanted = socket.scope["subprotocols"]
    await socket.accept(subprotocol=wanted[0] if wanted else None)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        journal(method="WEBSOCKET", message=text if text is not None else message["bytes"].hex())
        if text == "bye":
            return await socket.close(1000)
        if text is not None:
            ticket = TICKETS.get(int(text)) if text.isdecimal() else None
            await socket.send_text(ticket["text"] if ticket else text)
        else:
            await socket.send_bytes(message["bytes"])


@app.post("/oauth/token", include_in_schema=False)
def token(request: Request, form: bytes = Body(media_type="application/x-www-form-urlencoded")):
    fields = dict(urllib.parse.parse_qsl(form.decode()))
    given = f"{fields.get('client_id')}:{fields.get('client_secret')}"
    if (basic := request.headers.get("authorization", "")).startswith("Basic "):
        given = urllib.parse.unquote_plus(base64.b64decode(basic.removeprefix("Basic ")).decode())
    if fields.get("grant_type") != "client_credentials" or given != os.environ.get("CRM_CLIENT"):
        return JSONResponse({"error": "invalid_client"}, 401, {"www-authenticate": "Basic"})
    seconds = float(os.environ.get("CRM_TOKEN_SECONDS", "3600"))
    token = secrets.token_urlsafe(24)
    TOKENS[f"Bearer {token}"] = time.monotonic() + seconds
    return {"access_token": token, "token_type": "Bearer", "expires_in": int(seconds)}


def described(scope, body):
    try:
        text = {"body": body.decode()}
    except UnicodeDecodeError:
        text = {"body_base64": base64.b64encode(body).decode()}
    target = scope["raw_path"].decode() + ("?" + scope["query_string"].decode() if scope["query_string"] else "")
    return {
        "method": scope.get("method", "WEBSOCKET"),
        "target": target,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        **text,
        "tls": scope["scheme"] in ("https", "wss"),
        "http": scope["http_version"],
    }


def allowed(scope):
    if scope["path"] in ("/openapi.json", "/oauth/token"):
        return True
    headers = {(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]}
    name, _, value = os.environ.get("CRM_CREDENTIAL", "").partition(": ")
    if name and (name.lower(), value) in headers:
        return True
    if any(TOKENS.get(value, 0) > time.monotonic() for name, value in headers if name == "authorization"):
        return True
    return not name and "CRM_CLIENT" not in os.environ


async def journalled(scope, receive, send):
    """Writes down what comes, whole, and lets in who has the credential."""
    if scope["type"] == "lifespan":
        return await app(scope, receive, send)
    body, whole, more = b"", True, scope["type"] == "http"
    while more:
        message = await receive()
        whole = message["type"] == "http.request"
        body += message.get("body", b"")
        more = whole and message.get("more_body", False)
    journal(**described(scope, body), whole=whole)
    if not whole:
        return
    if not allowed(scope):
        if scope["type"] == "websocket":
            await receive()
            return await send({"type": "websocket.close"})
        refusal = JSONResponse({"error": "who are you?"}, 401, {"www-authenticate": 'Bearer realm="crm"'})
        return await refusal(scope, receive, send)
    if scope["type"] == "websocket":
        return await app(scope, receive, send)
    given = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay():
        return next(given, None) or await receive()

    await app(scope, replay, send)


def end_with_stdin():
    sys.stdin.read()
    shutil.rmtree(os.path.dirname(os.environ["JOURNAL"]), ignore_errors=True)
    os._exit(0)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    options.add_argument("--client-ca")
    options.add_argument("--http2", action="store_true")
    options.add_argument("--with-stdin", action="store_true")
    options = options.parse_args()
    if options.with_stdin:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    listener = socket.create_server(("127.0.0.1", options.port))
    # asyncio does it only where the socket says that it is TCP; without, answers wait for acknowledgements.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Who connects from now on waits until the server is there.
    listening(listener.getsockname()[1])
    certificate, key = options.tls or (None, None)
    required = 2 if options.client_ca else 0
    if options.http2:
        config = hypercorn.config.Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.certfile, config.keyfile, config.ca_certs = certificate, key, options.client_ca
        if required:
            config.verify_mode = required
        asyncio.run(hypercorn.asyncio.serve(journalled, config))
    else:
        config = uvicorn.Config(
            journalled,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            ssl_ca_certs=options.client_ca,
            ssl_cert_reqs=required,
            ws="websockets-sansio",
            log_level="warning",
        )
        uvicorn.Server(config).run(sockets=[listener])


main()
