// Runs an agent with AG-UI's own client, whose verifier is strict, and prints what came of it as a line of JSON:
// node agent.mjs URL '{"runs": [{...}], "threadId", "initialMessages", "initialState", "headers"}'
// A run: {"say": text, "tools", "state", "outputs": {tool: output}, "resume": {interrupt: payload}, "input": {...}, "abortAfter": n}
// "connect": "offset=-1&..." comes back by that query instead.
import { HttpAgent, runHttpRequest, transformHttpEventStream } from "@ag-ui/client";

class Agent extends HttpAgent {
  connect() {
    return transformHttpEventStream(runHttpRequest(() => this.fetch(`${this.url}?${this.query}`, { headers: this.headers })));
  }
}

const [url, text] = process.argv.slice(2);
const { runs, ...config } = JSON.parse(text);
console.error = () => {};
const found = [];
const agent = new Agent({ url, ...config });
for (const run of runs) found.push(await one(run));
console.log(JSON.stringify({ runs: found, messages: agent.messages, state: agent.state, pending: agent.pendingInterrupts }));
process.exit(0);

async function one({ say, outputs, resume, state, abortAfter, connect, input = {} }) {
  const events = [];
  const came = { events, error: null };
  if (say !== undefined) agent.addMessage({ id: crypto.randomUUID(), role: "user", content: say });
  if (state !== undefined) agent.setState(state);
  for (const [toolCallId, content] of Object.entries(outputs ?? {}))
    agent.addMessage({ id: crypto.randomUUID(), role: "tool", toolCallId, content });
  if (resume)
    input.resume = Object.entries(resume).map(([call, payload]) => {
      const interruptId = agent.pendingInterrupts.find((each) => each.toolCallId === call).id;
      return payload === null ? { interruptId, status: "cancelled" } : { interruptId, status: "resolved", payload };
    });
  agent.query = connect;
  try {
    await (connect ? agent.connectAgent : agent.runAgent).call(agent, input, {
      onEvent({ event }) {
        events.push(event);
        if (events.length === abortAfter) agent.abortRun();
      },
      onRunFailed({ error }) {
        came.error = { message: error.message, status: error.status ?? null, payload: error.payload ?? null };
        return { stopPropagation: true };
      },
    });
  } catch (error) {
    came.error ??= { message: error.message, status: error.status ?? null, payload: error.payload ?? null };
  }
  return came;
}
