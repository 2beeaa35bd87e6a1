// node socket_chat.mjs ws://127.0.0.1:7071/ws "Hello, AI!"
const [url, text] = process.argv.slice(2);
const socket = new WebSocket(url);

socket.onopen = () => socket.send(JSON.stringify({ type: "chat", payload: { text } }));
socket.onmessage = (event) => {
  const { type, payload } = JSON.parse(event.data);
  if (type === "chat_chunk") process.stdout.write(payload.text);
  if (type === "chat_error") console.error(payload.error);
  if (type === "chat_error" || payload.done) socket.close();
};
socket.onerror = () => {
  console.error("no connection");
  process.exitCode = 1;
};
