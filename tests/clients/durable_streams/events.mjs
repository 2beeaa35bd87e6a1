// Reads with the EventSource that browsers have, and prints what it got as a line of JSON. Its connection breaks after
// every DROP events, if that is not 0: node events.mjs URL native|durable DROP
import { EventSource } from "eventsource";

const [url, kind, drop] = process.argv.slice(2);
const found = { frames: [], connections: 0, lastIds: [] };

async function breaking(target, init) {
  found.connections += 1;
  found.lastIds.push(init.headers["Last-Event-ID"] ?? "");
  const reply = await fetch(target, init);
  if (!Number(drop) || reply.status !== 200) return reply;
  return new Response(ReadableStream.from(cut(reply.body, Number(drop))), { status: 200, headers: reply.headers });
}

async function* cut(body, events) {
  yield new TextEncoder().encode("retry: 5\n\n");
  let rest = "";
  for await (const piece of body.pipeThrough(new TextDecoderStream())) {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      yield new TextEncoder().encode(block + "\n\n");
      if (!block.startsWith(":")) events -= 1;
      if (events === 0) return;
    }
  }
}

const source = new EventSource(url, { fetch: breaking });
const awake = setInterval(() => {}, 1000); // its own timer lets Node end
await new Promise((done) => {
  source.addEventListener("message", ({ data }) => (data === "[DONE]" ? done() : found.frames.push(JSON.parse(data))));
  source.addEventListener("data", ({ data }) => found.frames.push(...JSON.parse(data)));
  source.addEventListener("control", ({ data }) => JSON.parse(data).streamClosed && done());
});
clearInterval(awake);
source.close();
console.log(JSON.stringify({ kind, ...found }));
process.exit(0);
