// Asks with Microsoft's client, and prints what it makes of the answer as a line of JSON:
// node ask.mjs URL whole|stream '{"messages": [], "options": {}, "headers": {}, "stopAfter": 0}'
import { AIChatProtocolClient } from "@microsoft/ai-chat-protocol";

const [url, kind, text] = process.argv.slice(2);
const { messages, options = {}, headers = {}, stopAfter = 0 } = JSON.parse(text);
for (const message of messages) {
  for (const file of message.files ?? []) file.data = new File([file.data], "a.png"); // it cannot send bytes on Node
}
const client = new AIChatProtocolClient(url, { retryOptions: { maxRetries: 0 } });
const sent = { ...options, requestOptions: { headers } };
const found = { text: "", lines: [], error: null };
try {
  if (kind === "whole") {
    const reply = await client.getCompletion(messages, sent);
    found.lines.push(reply);
    found.text = reply.message.content;
  } else {
    for await (const line of await client.getStreamedCompletion(messages, sent)) {
      found.lines.push(line);
      found.text += line.delta.content ?? "";
      if (stopAfter && found.lines.length === stopAfter) break;
    }
  }
} catch (error) {
  found.error = { code: String(error.code), message: error.message };
}
console.log(JSON.stringify(found));
process.exit(0);
