// Plays a page of assistant-ui without the page: the runtime of @assistant-ui/react-ai-sdk over its own transport:
// node assistant_ui.mjs '{"api": "http://127.0.0.1:7071/api/chat", "id": "c", "steps": [{"say": "Hello"}, {"reload": true}]}'
// Prints the messages as its components would be given them, and how it went.
import { AISDKChat, AssistantChatTransport } from "@assistant-ui/react-ai-sdk";
import { createAssistantClient } from "@assistant-ui/store/client";
import { lastAssistantMessageIsCompleteWithApprovalResponses, lastAssistantMessageIsCompleteWithToolCalls } from "ai";

const { api, id, steps, tools, approving } = JSON.parse(process.argv[2]);
const errors = [];
const requests = [];
async function fetching(url, options) {
  const reply = await fetch(url, options);
  requests.push(`${options?.method ?? "GET"} ${reply.status}`);
  return reply;
}

function opened() {
  const handle = createAssistantClient({
    threads: AISDKChat({
      id,
      transport: new AssistantChatTransport({ api, fetch: fetching }),
      onError: (error) => void errors.push(error.message),
      sendAutomaticallyWhen: approving
        ? lastAssistantMessageIsCompleteWithApprovalResponses
        : lastAssistantMessageIsCompleteWithToolCalls,
    }),
  });
  handle.subscribe(() => {});
  if (tools) handle.getClient().modelContext.register({ getModelContext: () => ({ tools }) });
  return handle;
}

let page = opened();
const thread = () => page.getClient().thread;
const last = () => thread().getState().messages.at(-1);
const said = (message) => message?.parts.filter((each) => each.type === "text").map((each) => each.text).join("");
async function until(check) {
  for (let turns = 0; turns < 1500 && !check(); turns += 1) await new Promise((done) => setTimeout(done, 20));
}
async function idle() {
  for (let quiet = 0; quiet < 5; quiet = thread().getState().isRunning ? 0 : quiet + 1)
    await new Promise((done) => setTimeout(done, 20));
}
const call = (tool) => thread().message({ index: thread().getState().messages.length - 1 })
  .part({ toolCallId: last().parts.find((each) => each.toolName === tool).toolCallId });

for (const step of steps) {
  if (step.say) thread().append({ role: "user", content: [{ type: "text", text: step.say }] });
  if (step.until) await until(() => said(last())?.includes(step.until));
  if (step.cancel) thread().cancelRun();
  if (step.reload) thread().message({ index: thread().getState().messages.length - 1 }).reload();
  if (step.again) {
    const { messages } = thread().getState().extras.chat;
    page = opened();
    thread().getState().extras.chat.setMessages(structuredClone(messages));
    await thread().getState().extras.chat.resumeStream();
  }
  for (const [tool, result] of Object.entries(step.results ?? {})) call(tool).addToolResult(result);
  for (const [tool, approved] of Object.entries(step.approvals ?? {}))
    await call(tool).respondToToolApproval({ approved });
  if (!step.until) await idle();
}
const messages = thread().getState().messages.map(({ role, parts, status, branchCount }) => ({ role, parts, status, branchCount }));
console.log(JSON.stringify({ messages, errors, requests }));
process.exit(0);
