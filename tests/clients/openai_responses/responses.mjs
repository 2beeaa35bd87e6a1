// node responses.mjs URL CASE: what OpenAI's client for Node makes of it, as one line of JSON.
import OpenAI from "openai";

const [url, name] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/api/openai/v1`, apiKey: "none", maxRetries: 0 });
const model = "default";
const paint = {
  type: "function",
  name: "paint",
  parameters: { type: "object", properties: { colour: { type: "string" } } },
};

async function read(events, until = () => false) {
  const seen = [];
  for await (const event of events) {
    seen.push(event);
    if (until(event)) break;
  }
  return seen;
}
const deltas = (seen) =>
  seen
    .filter((event) => event.type === "response.output_text.delta")
    .map((event) => event.delta)
    .join("");
const counted = (seen) => seen.every((event, place) => event.sequence_number === place);
const text = (seen) =>
  seen.at(-1).response.output.flatMap((item) => item.content.map((part) => part.text)).join("");

const refused = async (asked) => {
  try {
    await asked;
  } catch (error) {
    return error;
  }
};
const told = (error) => [error.constructor.name, error.status, error.code, error.type];

const cases = {
  async strangers() {
    const ask = (made) => made.responses.create({ model, input: "#chunks=1" });
    const known = client.withOptions({ apiKey: process.argv[4] });
    const unknown = await refused(ask(client.withOptions({ apiKey: "parley_wrong" })));
    await ask(known);
    const often = await refused(ask(known));
    const patient = await ask(known.withOptions({ maxRetries: 2 }));
    return [told(unknown), told(often), Number(often.headers.get("retry-after")) >= 1, patient.output_text];
  },
  async whole() {
    const response = await client.responses.create({ model, input: "#chunks=3" });
    return [response.status, response.output_text];
  },
  async helper() {
    const stream = client.responses.stream({ model, input: "#chunks=3 #reasoning=2" });
    const seen = await read(stream);
    const final = await stream.finalResponse();
    return [final.output_text, final.output.map((item) => item.type), counted(seen)];
  },
  async tools() {
    const first = client.responses.stream({ model, input: '#tool=paint{"colour":"red"}', tools: [paint] });
    const asked = await first.finalResponse();
    const [call] = asked.output;
    const output = { type: "function_call_output", call_id: call.call_id, output: "it is red" };
    const done = await client.responses.create({
      model,
      input: [output],
      previous_response_id: asked.id,
      tools: [paint],
    });
    return [call.name, call.arguments, done.output_text];
  },
  async ours() {
    const stream = client.responses.stream({ model, input: "#tool=describe_data" });
    const final = await stream.finalResponse();
    return final.output.map((item) => [item.type, item.status]);
  },
  async cut() {
    const seen = await read(await client.responses.create({ model, input: "#chunks=5 #cut=2", stream: true }));
    const last = seen.at(-1);
    return [last.type, last.response.status, last.response.error.code, deltas(seen)];
  },
  async resume() {
    const input = "#chunks=6 #rate=25";
    const count = (await read(await client.responses.create({ model, input, stream: true }))).length;
    const dropped = async (after) => {
      const begun = await client.responses.create({ model, input, stream: true });
      const seen = await read(begun, (event) => event.sequence_number === after);
      const rest = await client.responses.retrieve(seen[0].response.id, { stream: true, starting_after: after });
      return seen.concat(await read(rest));
    };
    const all = await Promise.all([...Array(count).keys()].map(dropped));
    return [count, all.map((seen) => [counted(seen), seen.length, deltas(seen), text(seen)])];
  },
  async background() {
    let response = await client.responses.create({ model, input: "#chunks=5 #rate=20", background: true });
    const first = response.status;
    while (["queued", "in_progress"].includes(response.status)) {
      await new Promise((done) => setTimeout(done, 50));
      response = await client.responses.retrieve(response.id);
    }
    return [["queued", "in_progress"].includes(first), response.status, response.output_text];
  },
  async cancel() {
    const begun = await client.responses.create({ model, input: "#endless #rate=20", stream: true });
    const seen = [];
    let stopping;
    for await (const event of begun) {
      seen.push(event);
      if (event.type === "response.output_text.delta") stopping ??= client.responses.cancel(seen[0].response.id);
    }
    const last = seen.at(-1);
    return [last.type, last.response.status, (await stopping).status, text(seen) === deltas(seen)];
  },
  async branch() {
    const first = await client.responses.create({ model, input: '#text="one"' });
    await client.responses.create({ model, input: '#text="two"', previous_response_id: first.id });
    const fork = await client.responses.create({ model, input: "#echo", previous_response_id: first.id });
    const items = [];
    for await (const item of client.responses.inputItems.list(fork.id)) items.push(item.content[0].text);
    const shown = JSON.parse(fork.output_text).messages.filter((message) => message.role !== "system");
    return [shown.map((message) => message.content), items];
  },
  async gone() {
    const unkept = await client.responses.create({ model, input: "#chunks=1", store: false });
    const deleted = await client.responses.create({ model, input: "#chunks=1" });
    await client.responses.delete(deleted.id);
    const found = [];
    for (const each of [unkept, deleted]) {
      found.push(await client.responses.retrieve(each.id).catch((error) => [error.status, error.type]));
    }
    return found;
  },
  async refused() {
    const bodies = [
      { input: "" },
      { input: "Hi", conversation: "none" },
      { input: "#status=429" },
      { input: "Hi", background: true, store: false },
    ];
    const ask = (body) => client.responses.create({ model, stream: true, ...body });
    const refusals = bodies.map((body) => ask(body).catch((error) => [error.status, error.code, error.param]));
    return Promise.all(refusals);
  },
};

console.log(JSON.stringify(await cases[name]()));
