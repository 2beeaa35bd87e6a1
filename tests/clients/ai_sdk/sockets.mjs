// Sends the messages of several chats at once over one WebSocketChatTransport, and prints what comes of each:
// node sockets.mjs '{"socket": "ws://127.0.0.1:7078/client/hubs/chat?...", "chats": {"a": "Hello", "b": "Hi"}}'
import { WebSocketChatTransport, readUIMessageStream } from "ai";

const asked = JSON.parse(process.argv[2]);
let opened = 0;
class Counted extends WebSocket {
  constructor(...given) {
    super(...given);
    opened += 1;
  }
}
const transport = new WebSocketChatTransport({ url: asked.socket, webSocket: Counted });

async function ask([chatId, text]) {
  const found = { message: null, error: null, chunks: 0 };
  const messages = [{ id: "m", role: "user", parts: [{ type: "text", text }] }];
  try {
    const stream = await transport.sendMessages({ trigger: "submit-message", chatId, messages, body: asked.body });
    const onError = (error) => (found.error ??= error.message);
    for await (const message of readUIMessageStream({ stream, onError })) {
      found.message = message;
      found.chunks += 1;
    }
  } catch (error) {
    found.error = error.message;
  }
  return [chatId, found];
}

console.error = () => {};
const chats = Object.fromEntries(await Promise.all(Object.entries(asked.chats).map(ask)));
console.log(JSON.stringify({ chats, opened }));
process.exit(0);
