// Asks by the protocol's own client: node client.mjs URL USER '[["tool", {"text": "Hello"}], ...]'
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, user, script] = process.argv.slice(2);
const headers = user ? { "x-dev-user": user } : {};
const client = new Client({ name: "test", version: "1" });
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const say = (what, value) => console.log(JSON.stringify([what, value]));

try {
  await client.connect(transport);
  say("server", client.getServerVersion().name);
  for (const [name, given] of JSON.parse(script)) {
    if (name === "tools") say("tools", (await client.listTools()).tools.map((tool) => tool.name));
    else if (name === "resources") say("resources", (await client.listResources()).resources);
    else if (name === "templates") say("templates", (await client.listResourceTemplates()).resourceTemplates);
    else if (name === "read") say("read", (await client.readResource(given)).contents);
    else if (name === "ping") say("ping", await client.ping());
    else {
      const heard = [];
      let stopping = null;
      const onprogress = (each) => heard.push([each.progress, each.message]);
      const { quiet, stopAtFirst, ...args } = given;
      const stop = (each) => {
        onprogress(each);
        if (heard.length > 1) return;
        const turn_id = each.message.match(/turn (\S+)/)[1];
        stopping = client.callTool({ name: "stop", arguments: { turn_id } });
      };
      const options = quiet ? {} : { onprogress: stopAtFirst ? stop : onprogress };
      const result = await client.callTool({ name, arguments: args }, undefined, options);
      await stopping;
      say("progress", heard);
      say("result", result);
    }
  }
} catch (error) {
  say("error", [error.constructor.name, String(error.code ?? ""), error.message]);
}
await client.close();
