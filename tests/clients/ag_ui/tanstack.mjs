// Chats with TanStack AI's client and prints what it shows as a line of JSON:
// node tanstack.mjs URL '{"threadId", "headers", "say": [texts], "tool": {"name", "output"}, "approve": true|false, "drop": n, "hydrate": true}'
// `drop`: every reply breaks off behind its n-th frame. `also`: where to ask when the address is gone.
import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";

const [url, text] = process.argv.slice(2);
const { threadId, headers = {}, say = [], tool, approve, drop, also, hydrate = false, body, reload = false } = JSON.parse(text);
const asked = [];
const chunks = [];
const errors = [];
console.error = () => {};

async function fetchClient(address, init) {
  const reply = await fetch(address, init).catch((error) => {
    if (!also) throw error;
    return fetch(also, init);
  });
  const sent = new Headers(init.headers);
  asked.push({ method: init.method, query: new URL(address).search, last: sent.get("last-event-id"), status: reply.status, type: reply.headers.get("content-type") });
  if (!drop || reply.headers.get("content-type") !== "text/event-stream") return reply;
  return new Response(reply.body.pipeThrough(broken(drop)), reply);
}

// Breaks off behind so many frames, as a connection that is lost.
function broken(frames) {
  let left = frames, rest = "";
  const decoder = new TextDecoder(), encoder = new TextEncoder();
  return new TransformStream({
    transform(piece, controller) {
      rest += decoder.decode(piece, { stream: true });
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        if (left < 0) return;
        controller.enqueue(encoder.encode(block + "\n\n"));
        if (!block.startsWith(":") && --left === 0 && !/"type":"RUN_(FINISHED|ERROR)"/.test(block)) {
          left = -1;
          controller.error(new Error("lost"));
        }
      }
    },
  });
}

const ran = [];
const tools = tool
  ? [{ __toolSide: "client", name: tool.name, description: "x", inputSchema: { type: "object", properties: {} }, execute: async (input) => { ran.push(input); return tool.output; } }]
  : [];
const client = new ChatClient({
  connection: fetchServerSentEvents(url, { headers, fetchClient, reconnect: { maxAttempts: 3, delayMs: 20 } }),
  threadId,
  tools,
  ...(hydrate ? { persistence: true } : {}),
  ...(body ? { forwardedProps: body } : {}),
  onChunk: (chunk) => chunks.push(chunk.type),
  onError: (error) => errors.push(error.message),
});
client.attach();
const settled = async (seconds = 40) => {
  const until = Date.now() + seconds * 1000;
  let quiet = 0;
  while (Date.now() < until && quiet < 10) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    quiet = client.getIsLoading() ? 0 : quiet + 1;
  }
};
if (hydrate) await settled();
const pending = client.getPendingInterrupts().map((each) => each.id ?? each.interruptId);
for (const each of say) {
  await client.sendMessage(each);
  await settled();
  if (approve !== undefined) {
    const interrupts = client.getPendingInterrupts();
    if (interrupts.length) {
      await client.addToolApprovalResponse({ id: interrupts[0].id, approved: approve });
      await settled();
    }
  }
}
if (reload) {
  await client.reload();
  await settled();
}
const messages = client.getMessages().map(({ id, role, parts }) => ({ id, role, parts }));
console.log(JSON.stringify({ messages, chunks, errors, asked, ran, pending, status: client.getStatus() }));
process.exit(0);
