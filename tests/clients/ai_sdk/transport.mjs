// Sends a message with a transport of the AI SDK, follows it with its own reader, and prints what that makes of it:
// node transport.mjs '{"ai": "ai", "api": "http://127.0.0.1:7071/api/chat", "messages": [], "chatId": "c"}'
const asked = JSON.parse(process.argv[2]);
const { ai = "ai", api, chatId, messages = [], trigger = "submit-message", messageId, body, headers = {} } = asked;
const sdk = await import(ai);
const seen = [];
const found = { chunks: seen, message: null, error: null, status: null, resumed: 0 };
const transport = new sdk.DefaultChatTransport({ api, headers, ...(asked.one ? { prepareSendMessagesRequest } : {}) });

function prepareSendMessagesRequest({ id, messages, body }) {
  return { body: { ...body, id, message: messages.at(-1) } };
}

async function read(stream, last) {
  const copy = stream.pipeThrough(
    new TransformStream({
      transform(chunk, controller) {
        seen.push(chunk);
        if (asked.drop && seen.length === asked.drop) {
          controller.enqueue(chunk);
          controller.terminate();
          return;
        }
        controller.enqueue(chunk);
      },
    }),
  );
  const options = { stream: copy, onError: (error) => (found.error ??= error.message) };
  if (last?.role === "assistant") options.message = structuredClone(last);
  for await (const message of sdk.readUIMessageStream(options)) found.message = message;
}

try {
  if (asked.reconnect) {
    const stream = await transport.reconnectToStream({ chatId });
    found.resumed = stream ? 1 : 0;
    if (stream) await read(stream);
  } else {
    await read(await transport.sendMessages({ trigger, chatId, messages, messageId, body }), messages.at(-1));
    if (asked.drop) {
      seen.length = 0;
      delete asked.drop;
      const stream = await transport.reconnectToStream({ chatId });
      found.resumed = stream ? 1 : 0;
      if (stream) await read(stream);
    }
  }
} catch (error) {
  found.error = error.message;
  found.status = error.statusCode ?? null;
}
console.log(JSON.stringify(found));
process.exit(0);
