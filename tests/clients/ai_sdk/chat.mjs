// Plays a page: the Chat of @ai-sdk/react without a page, over one of the SDK's transports, step by step:
// node chat.mjs '{"api": "http://127.0.0.1:7071/api/chat", "id": "c", "steps": [{"send": "Hello"}, {"regenerate": {}}]}'
// Prints the messages, the states, the errors and what was told on the way.
import { Chat } from "@ai-sdk/react";
import { WorkflowChatTransport } from "@ai-sdk/workflow/client";
import {
  DefaultChatTransport,
  WebSocketChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from "ai";

const asked = JSON.parse(process.argv[2]);
const found = { messages: [], statuses: [], errors: [], data: [], calls: [], finished: [], requests: [], chunks: 0 };

// The network as it breaks: the body of a reply ends in an error behind so many frames.
async function fetching(url, options) {
  if (asked.back && found.requests.length) url = String(url).replace(asked.api, asked.back); // the other instance
  const reply = await fetch(url, options);
  found.requests.push(`${options?.method ?? "GET"} ${reply.status}`);
  const left = asked.cuts?.shift();
  if (left === undefined || !reply.ok || !reply.body) return reply;
  let frames = 0;
  let rest = "";
  const decoder = new TextDecoder();
  const cut = new TransformStream({
    transform(bytes, controller) {
      rest += decoder.decode(bytes, { stream: true });
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        if (frames === left) return controller.error(new TypeError("network error"));
        if (block.startsWith("data: ")) frames += 1;
        controller.enqueue(new TextEncoder().encode(`${block}\n\n`));
      }
    },
  });
  return new Response(reply.body.pipeThrough(cut), reply);
}

// The same for sockets: one closes behind so many frames.
class Cut extends WebSocket {
  constructor(...given) {
    super(...given);
    let left = asked.cuts?.shift();
    this.addEventListener("message", () => left !== undefined && --left === 0 && this.close());
  }
}

function transport() {
  const { api, headers, body } = asked;
  if (asked.transport === "workflow") {
    return new WorkflowChatTransport({ api, fetch: fetching, initialStartIndex: asked.startIndex });
  }
  if (asked.transport === "socket") return new WebSocketChatTransport({ url: asked.socket, params: asked.params, body, webSocket: Cut });
  return new DefaultChatTransport({ api, headers, body, fetch: fetching });
}

console.error = () => {};
const once = (check) => {
  let sent = 0;
  return (options) => check(options) && sent++ < 3;
};
const automatic = {
  calls: once(lastAssistantMessageIsCompleteWithToolCalls),
  approvals: once(lastAssistantMessageIsCompleteWithApprovalResponses),
};
const way = transport();
const make = (messages = [], id = asked.id) =>
  new Chat({
    id: id || asked.id,
    transport: way,
    messages,
    sendAutomaticallyWhen: automatic[asked.automatic],
    onError: (error) => found.errors.push(error.message),
    onData: (part) => found.data.push(part),
    onToolCall: ({ toolCall }) => void found.calls.push(toolCall.toolName),
    onFinish: ({ isAbort, isError, isDisconnect, finishReason }) =>
      found.finished.push({ isAbort, isError, isDisconnect, finishReason }),
  });
let chat = make();
const until = async (check) => {
  for (let turns = 0; turns < 1500 && !check(); turns += 1) await new Promise((done) => setTimeout(done, 20));
};
const idle = () => chat.status === "ready" || chat.status === "error";
const words = () => chat.messages.at(-1)?.parts.filter((part) => part.type === "text").map((part) => part.text).join("");

for (const step of asked.steps) {
  if (step.send !== undefined) {
    const sent = chat.sendMessage({ text: step.send, files: step.files });
    if (!step.meanwhile) await sent;
  }
  if (step.until) await until(() => words()?.includes(step.until));
  if (step.regenerate) await chat.regenerate(step.regenerate);
  if (step.stop) await chat.stop();
  if (step.reload) chat = make(structuredClone(chat.messages), step.asTurn && chat.messages.at(-1).id);
  if (step.resume) await chat.resumeStream();
  if (step.stopThere) {
    const reply = await fetch(`${asked.api}/${encodeURIComponent(asked.id)}/stop`, { method: "POST" });
    found.requests.push(`STOP ${reply.status} ${await reply.text()}`);
  }
  if (step.stopTurn) {
    const { turnId } = chat.messages.at(-1).metadata;
    await fetch(`${asked.api}/${turnId}/stop`, { method: "POST" });
  }
  if (step.kill) process.kill(step.kill, "SIGKILL");
  for (const [tool, output] of Object.entries(step.outputs ?? {})) {
    const part = chat.messages.at(-1).parts.find((each) => each.type === `tool-${tool}` && each.state === "input-available");
    const told = output.errorText ? { state: "output-error", ...output } : { output };
    await chat.addToolOutput({ tool, toolCallId: part.toolCallId, ...told });
  }
  for (const [tool, approved] of Object.entries(step.approvals ?? {})) {
    const part = chat.messages.at(-1).parts.find((each) => each.toolName === tool && each.state === "approval-requested");
    await chat.addToolApprovalResponse({ id: part.approval.id, approved, reason: approved ? undefined : "I say no" });
  }
  await new Promise((done) => setTimeout(done, 0));
  if (!step.meanwhile) await until(idle);
  found.statuses.push(chat.status);
}
found.messages = chat.messages;
console.log(JSON.stringify(found));
process.exit(0);
