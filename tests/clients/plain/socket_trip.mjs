// node socket_trip.mjs ws://127.0.0.1:7071/ws/chat "plan a 3 day trip to Tokyo"
const [url, message] = process.argv.slice(2);
const state = { pois: [], requirements: [], plan: [] };
const socket = new WebSocket(url);

socket.addEventListener("open", () => socket.send(JSON.stringify({ message, ...state })));
socket.addEventListener("message", ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type in state) state[frame.type] = frame.data;
  if (frame.type === "done" || frame.type === "error") socket.close();
});
socket.addEventListener("close", () => console.log(JSON.stringify(state)));
