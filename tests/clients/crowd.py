# Opens more connections than the gateway has places for, and prints what the first one too many is told.
import os
import resource
import socket

host, port = os.environ["GATEWAY"].rsplit(":", 1)
more = int(os.environ["CROWD"])
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * more), hard))
crowd = []
for _ in range(more):
    one = socket.create_connection((host, int(port)), timeout=10)
    crowd.append(one)
one.settimeout(10)
told = b""
while True:
    part = one.recv(4096)
    if not part:
        break
    told += part
print(told.replace(b"\0", b"\n").decode())
