// node socket_room.mjs ws://127.0.0.1:7071/api/v1/chat/sessions/<id>/websocket "Hello, everybody!"
const [url, content] = process.argv.slice(2);
const socket = new WebSocket(url);

socket.onmessage = ({ data }) => {
  const frame = JSON.parse(data);
  if (frame.type === "connection_established") socket.send(JSON.stringify({ type: "send_message", content }));
  if (frame.type === "message_update" && frame.action === "completed") {
    console.log(frame.message.content);
    socket.close();
  }
};
