// OpenAI's own client for Node: asks for completions and prints what came of it as one line of JSON.
// node chat.mjs BASE_URL KIND ASKED, where ASKED is {body, headers?, retries?, stopAfter?, key?}
import OpenAI from "openai";

const [baseURL, kind, text] = process.argv.slice(2);
const { body, headers = {}, retries = 0, stopAfter = 0, key = "local" } = JSON.parse(text);
const client = new OpenAI({ baseURL, apiKey: key, maxRetries: retries, defaultHeaders: headers });
const found = { chunks: [], message: null, error: null };

async function stream() {
  const chunks = await client.chat.completions.create({ ...body, stream: true });
  for await (const chunk of chunks) {
    found.chunks.push(chunk);
    if (found.chunks.length === stopAfter) break;
  }
}

async function helper() {
  const runner = client.chat.completions.stream(body);
  runner.on("chunk", (chunk) => found.chunks.push(chunk));
  const completion = await runner.finalChatCompletion();
  found.message = completion.choices[0].message;
  found.finish = completion.choices[0].finish_reason;
}

async function whole() {
  const completion = await client.chat.completions.create(body);
  found.message = completion.choices[0].message;
  found.finish = completion.choices[0].finish_reason;
  found.usage = completion.usage;
}

async function models() {
  found.models = [];
  for await (const each of client.models.list()) found.models.push(each.id);
  found.models.push((await client.models.retrieve(found.models[0])).id);
}

async function tools() {
  const runner = client.chat.completions.runTools({
    ...body,
    stream: true,
    tools: [
      {
        type: "function",
        function: {
          name: "paint",
          parameters: { type: "object", properties: { colour: { type: "string" } } },
          parse: JSON.parse,
          function: ({ colour }) => `painted ${colour}`,
        },
      },
    ],
  });
  found.message = { content: await runner.finalContent() };
  found.roles = runner.messages.map((each) => each.role);
}

try {
  await { stream, helper, whole, models, tools }[kind]();
} catch (error) {
  found.error = { kind: error.constructor.name, status: error.status ?? null, message: error.message };
  found.error = { ...found.error, code: error.code ?? null, param: error.param ?? null };
}
console.log(JSON.stringify(found));
