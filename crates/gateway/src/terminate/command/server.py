# A server of MCP's stdio transport, as far as the tests need one.
import json, os, subprocess, sys, time

seen = []


def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


print("a line that is no message", flush=True)
print("\x1b[31mstarted", file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    seen.append(message)
    method, id, params = message.get("method"), message.get("id"), message.get("params", {})
    if method == "initialize":
        say(id=id, result={"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                           "serverInfo": {"name": "test", "version": "1"}, "pid": os.getpid()})
    elif method == "pid":
        say(id=id, result={"pid": os.getpid()})
    elif method == "tools/list":
        say(id=id, result={"tools": [{"name": name, "inputSchema": {"type": "object"}}
                                     for name in ("whoami", "drop")]})
    elif method == "tools/call":
        say(id=id, result={"content": [{"type": "text", "text": "i am %d" % os.getpid()}]})
    elif method == "surroundings":
        fds = [os.path.realpath("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd")]
        say(id=id, result={"environment": dict(os.environ), "folder": os.getcwd(), "fds": fds,
                           "leads": os.getpgid(0) == os.getpid()})
    elif method == "slow":
        for part in range(3):
            say(method="notifications/progress",
                params={"progressToken": params["_meta"]["progressToken"], "progress": part})
            time.sleep(0.05)
        say(id=id, result={})
    elif method == "fork":
        child = subprocess.Popen(["sleep", "600"])
        say(id=id, result={"pid": child.pid})
    elif method == "flood":
        for part in range(20000):
            say(method="notifications/message", params={"data": "x" * 100})
        say(id=id, result={})
    elif method == "long":
        say(id=id, result={"text": "x" * params["bytes"]})
    elif method == "die":
        os._exit(3)
    elif method == "ask":
        say(id="s-1", method="sampling/createMessage", params={})
        say(id=id, result={})
    elif method == "seen":
        say(id=id, result=seen)
    elif method == "deaf":
        time.sleep(600)
