// Speaks HTTP/2 by Node's own, without TLS: asks for each path on a stream of its own, and prints what comes, a JSON line
// each, up to the end of the connection.
//
// http2.mjs PORT TOKEN [PATH]...
//
// {"event": "settings"}    the server speaks HTTP/2
// {"event": "headers", "path": …, "status": …}    {"event": "data", "path": …, "text": …}
// {"event": "ended", "path": …}    the answer is whole    {"event": "broken", "path": …, "code": …}    it is not
// {"event": "goaway", "code": …, "last": …}    {"event": "closed"}

import http2 from "node:http2";

const say = (event, more) => console.log(JSON.stringify({ event, ...more }));
const [port, token, ...paths] = process.argv.slice(2);
const session = http2.connect(`http://127.0.0.1:${port}`);
session.on("remoteSettings", () => say("settings"));
session.on("goaway", (code, last) => say("goaway", { code, last }));
session.on("error", (error) => say("error", { text: String(error) }));
session.on("close", () => say("closed"));
for (const path of paths) {
  const stream = session.request({ ":path": path, authorization: `Bearer ${token}` });
  let whole = false;
  stream.setEncoding("utf8");
  stream.on("response", (head) => say("headers", { path, status: head[":status"] }));
  stream.on("data", (text) => say("data", { path, text }));
  stream.on("end", () => (whole = true));
  stream.on("error", () => {});
  stream.on("close", () => {
    const { rstCode: code, aborted } = stream;
    if (whole && !aborted && code === http2.constants.NGHTTP2_NO_ERROR) say("ended", { path });
    else say("broken", { path, code });
  });
}
