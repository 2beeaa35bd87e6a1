// Reads a turn with the TypeScript client, and prints what it got as a line of JSON:
// node read.mjs URL false|long-poll|sse OFFSET [STOP_AFTER]
import { stream } from "@durable-streams/client";

const [url, live, offset, stopAfter = "0"] = process.argv.slice(2);
const found = { messages: [], offset: "", closed: false, error: null };
try {
  const answer = await stream({ url, offset, live: live === "false" ? false : live, backoffOptions: { maxRetries: 2 } });
  for await (const message of answer.jsonStream()) {
    found.messages.push(message);
    if (Number(stopAfter) && found.messages.length >= Number(stopAfter)) break;
  }
  found.offset = answer.offset;
  found.closed = answer.streamClosed;
} catch (error) {
  found.error = { name: error.name, status: error.status ?? null };
}
console.log(JSON.stringify(found));
process.exit(0);
