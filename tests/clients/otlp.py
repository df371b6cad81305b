"""Takes log records of OpenTelemetry over HTTP, and reads them by OpenTelemetry's own schema, which is strict: what it
does not know is refused. What came is a line of JSON each in the file that is named; the port is free and printed."""

import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        kind = self.headers["content-type"]
        request, answer = logs.ExportLogsServiceRequest(), logs.ExportLogsServiceResponse()
        try:
            if kind == "application/json":
                json_format.Parse(body, request)
                answer = json_format.MessageToJson(answer).encode()
            else:
                request.ParseFromString(body)
                answer = answer.SerializeToString()
            status, got = 200, json_format.MessageToDict(request)
        except Exception as error:
            status, got, answer = 400, {"wrong": str(error)}, b""
        got |= {"path": self.path, "type": kind, "authorization": self.headers["authorization"]}
        with open(sys.argv[1], "a", encoding="utf-8") as file:
            file.write(json.dumps(got) + "\n")
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print("listening", server.server_address[1], flush=True)
server.serve_forever()
