// Asks with the client that most pages have: node stream.mjs http://127.0.0.1:7071/api/chat/stream "Hello"
import { createRequire } from "node:module";

// It is made for browsers.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = createRequire(import.meta.url)("@microsoft/fetch-event-source");
const [url, text] = process.argv.slice(2);

let asked = 0;
await fetchEventSource(url, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ messages: [{ role: "user", content: text }] }),
  openWhenHidden: true,
  fetch: (...request) => {
    asked += 1;
    return fetch(...request);
  },
  onmessage({ data }) {
    if (data === "[DONE]") return console.log("done");
    const event = JSON.parse(data);
    if (event.type === "text.delta") console.log("text", event.delta);
    if (event.type === "error") console.log("error", event.code, event.message);
  },
});
console.log("asked", asked);
