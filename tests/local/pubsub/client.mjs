// Microsoft's own JavaScript clients, driven line by line from a test: a command is {"id", "do", "args"} on stdin, an
// answer {"id", "ok", "result"} on stdout, and what a client hears {"event", ...}.
import { createInterface } from "node:readline";
import { WebPubSubServiceClient, odata } from "@azure/web-pubsub";
import { WebPubSubClient, WebPubSubJsonProtocol, WebPubSubJsonReliableProtocol } from "@azure/web-pubsub-client";

const PROTOCOLS = {
  "json.webpubsub.azure.v1": WebPubSubJsonProtocol,
  "json.reliable.webpubsub.azure.v1": WebPubSubJsonReliableProtocol,
};
const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const plain = (data) => (data instanceof ArrayBuffer ? { base64: Buffer.from(data).toString("base64") } : data);
const packed = (data) => (data?.base64 === undefined ? data : Uint8Array.from(Buffer.from(data.base64, "base64")).buffer);

let client;
let service;
let invocation;
const writers = new Map();

const commands = {
  start: async ({ url, protocol, options }) => {
    client = new WebPubSubClient(url, {
      protocol: PROTOCOLS[protocol](),
      messageRetryOptions: { maxRetries: 0 },
      reconnectRetryOptions: { retryDelayInMs: 50 },
      ...options,
    });
    client.on("connected", (e) => say({ event: "connected", id: e.connectionId, user: e.userId }));
    client.on("disconnected", (e) => say({ event: "disconnected", reason: e.message?.message ?? "" }));
    client.on("stopped", () => say({ event: "stopped" }));
    client.on("group-message", ({ message: m }) =>
      say({ event: "group", group: m.group, from: m.fromUserId ?? null, type: m.dataType, data: plain(m.data), sequence: m.sequenceId ?? null }));
    client.on("server-message", ({ message: m }) => say({ event: "server", type: m.dataType, data: plain(m.data) }));
    client.on("rejoin-group-failed", (e) => say({ event: "rejoin-failed", group: e.group }));
    await client.start();
  },
  stop: async () => client.stop(),
  join: async ({ group, ackId }) => (await client.joinGroup(group, { ackId })).isDuplicated,
  leave: async ({ group }) => (await client.leaveGroup(group)).isDuplicated,
  send: async ({ group, data, type, options }) => (await client.sendToGroup(group, packed(data), type, options)).isDuplicated,
  event: async ({ name, data, type }) => (await client.sendEvent(name, packed(data), type)).isDuplicated,
  invoke: async ({ name, data, type }) => {
    invocation = new AbortController();
    const found = await client.invokeEvent(name, packed(data), type, { abortSignal: invocation.signal });
    return { type: found.dataType, data: plain(found.data) };
  },
  "invoke-abort": async () => invocation.abort(),
  "stream-listen": async () => {
    client.onGroupStream(async (stream) => {
      say({ event: "stream", id: stream.streamId, group: stream.groupName ?? stream.group });
      try {
        for await (const piece of stream) say({ event: "piece", data: plain(piece.data), place: piece.stream });
        say({ event: "stream-end" });
      } catch (error) {
        say({ event: "stream-error", name: error.name, text: error.message });
      }
    });
  },
  "stream-open": async ({ group, options }) => {
    const writer = await client.openGroupStream(group, options);
    writer.onError?.((error) => say({ event: "writer-error", text: error.message }));
    writers.set(writer.streamId, writer);
    return writer.streamId;
  },
  "stream-write": async ({ id, data }) => writers.get(id).write(data, "text"),
  "stream-end": async ({ id }) => writers.get(id).end(),
  "stream-abort": async ({ id, message }) => writers.get(id).abort({ message }),
  service: async ({ connection, hub }) => {
    service = new WebPubSubServiceClient(connection, hub, { allowInsecureConnection: true });
  },
  call: async ({ name, args }) => (await service[name](...args.map(packed))) ?? null,
  "group-call": async ({ group, name, args }) => (await service.group(group)[name](...args.map(packed))) ?? null,
  odata: async ({ user }) => odata`userId eq ${user}`,
  list: async ({ group, options }) => {
    const found = [];
    for await (const each of await service.group(group).listConnections(options)) found.push(each);
    return found;
  },
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, do: name, args } = JSON.parse(line);
  try {
    say({ id, ok: true, result: (await commands[name](args ?? {})) ?? null });
  } catch (error) {
    say({ id, ok: false, error: { name: error.name, text: error.message, code: error.errorDetail?.name ?? error.code ?? error.statusCode ?? null } });
  }
}).on("close", () => process.exit(0));
