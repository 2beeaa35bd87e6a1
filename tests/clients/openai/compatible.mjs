// The AI SDK over its provider for what speaks OpenAI's protocol: prints what came of it as one line of JSON.
// node compatible.mjs BASE_URL KIND ASKED, where ASKED is {prompt, headers?}
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const [baseURL, kind, text] = process.argv.slice(2);
const { prompt, headers = {} } = JSON.parse(text);
const provider = createOpenAICompatible({ name: "parley", baseURL, apiKey: "local", headers, includeUsage: true });
const found = { text: "", error: null };
const paint = tool({
  description: "Paints",
  inputSchema: jsonSchema({ type: "object", properties: { colour: { type: "string" } } }),
  execute: async ({ colour }) => `painted ${colour}`,
});
const asked = { model: provider("default"), prompt, maxRetries: 0 };

try {
  if (kind === "whole") {
    const result = await generateText(asked);
    Object.assign(found, { text: result.text, usage: result.usage, finish: result.finishReason });
  } else {
    const more = kind === "tools" ? { tools: { paint }, stopWhen: stepCountIs(3) } : {};
    const result = streamText({ ...asked, ...more, onError: ({ error }) => (found.error = error.message) });
    for await (const piece of result.textStream) found.text += piece;
    if (!found.error) {
      const steps = await result.steps;
      found.usage = await result.totalUsage;
      found.finish = await result.finishReason;
      found.reasoning = await result.reasoningText;
      found.outputs = steps.flatMap((each) => each.toolResults.map((one) => one.output));
    }
  }
} catch (error) {
  found.error = error.message;
  found.status = error.statusCode ?? null;
}
console.log(JSON.stringify(found));
