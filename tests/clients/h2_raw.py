"""Requests of HTTP/2 whose heads no library would send, each on a connection of its own.

h2_raw.py HOST PORT   reads lines of JSON: {"head": [[NAME, VALUE], …], "data": TEXT or null, "trailers": [[NAME, VALUE], …]}
and prints for each a line: the status, or `reset` or `closed` where there is none.
"""

import json
import socket
import sys

from hpack import Decoder, Encoder
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def headers(encoder, fields, end):
    frame = HeadersFrame(1)
    frame.data = encoder.encode([(name.encode(), value.encode()) for name, value in fields], huffman=False)
    frame.flags.add("END_HEADERS")
    if end:
        frame.flags.add("END_STREAM")
    return frame.serialize()


def frames(connection):
    buffer = b""
    while True:
        while len(buffer) >= 9:
            frame, length = Frame.parse_frame_header(memoryview(buffer[:9]))
            if len(buffer) < 9 + length:
                break
            frame.parse_body(memoryview(buffer[9 : 9 + length]))
            buffer = buffer[9 + length :]
            yield frame
        try:
            read = connection.recv(65536)
        except ConnectionError:
            return
        if not read:
            return
        buffer += read


def ask(address, request):
    encoder, decoder = Encoder(), Decoder()
    with socket.create_connection(address, timeout=30) as connection:
        data, trailers = request.get("data"), request.get("trailers")
        sent = PREFACE + SettingsFrame(0).serialize() + headers(encoder, request["head"], data is None and not trailers)
        if data is not None:
            frame = DataFrame(1, data.encode())
            if not trailers:
                frame.flags.add("END_STREAM")
            sent += frame.serialize()
        if trailers:
            sent += headers(encoder, trailers, True)
        connection.sendall(sent)
        for frame in frames(connection):
            if isinstance(frame, HeadersFrame):
                return dict(decoder.decode(frame.data))[":status"]
            if isinstance(frame, RstStreamFrame):
                return "reset"
            if isinstance(frame, GoAwayFrame) and frame.error_code:
                return "closed"
    return "closed"


for line in sys.stdin:
    print(ask((sys.argv[1], int(sys.argv[2])), json.loads(line)), flush=True)
