// What the programs of docs/protocols.md for a deployed app make is used: each asks the same by its own protocol.
// `said` is what they heard. It stands behind such a program, for Node as for a page.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { ChatClient } from "@tanstack/ai-client";
import { readUIMessageStream } from "ai";

const content = "#chunks=3 Hello";
const words = (parts) => parts.map((part) => part.text ?? part.content ?? "").join("");
async function shown(transport, chatId) {
  const messages = [{ id: "m", role: "user", parts: [{ type: "text", text: content }] }];
  let newest;
  const stream = await transport.sendMessages({ trigger: "submit-message", chatId, messages });
  for await (const message of readUIMessageStream({ stream })) newest = message;
  return words(newest.parts);
}

const said = {};
const response = await openai.responses.create({ model: "default", input: content });
said.openai = response.output_text;
said.page = await shown(page, crypto.randomUUID());
said.workflow = await shown(workflow, crypto.randomUUID());
agent.addMessage({ id: "1", role: "user", content });
await agent.runAgent();
said.agent = agent.messages.at(-1).content;
const chat = new ChatClient({ connection: tanstack, threadId: crypto.randomUUID(), persistence: true });
chat.attach();
await chat.sendMessage(content);
said.tanstack = words(chat.getMessages().at(-1).parts);
said.aiChat = (await askAiChat([{ role: "user", content }])).message.content;
const messages = await (await read(response.id.slice("resp_".length))).json();
said.read = messages.map((message) => message.delta ?? "").join("");
const client = new Client({ name: "test", version: "1" });
await client.connect(mcp);
said.mcp = words((await client.callTool({ name: "ask", arguments: { text: content } })).content);

globalThis.said = said;
console.log(JSON.stringify(said));
globalThis.process?.exit(0);
