// Looks at the status first, as pages do: node decide.mjs http://127.0.0.1:7071/api/chat/stream "Hello"
const [url, text] = process.argv.slice(2);
const r = await fetch(url, { method: "POST", body: JSON.stringify({ messages: [{ role: "user", content: text }] }) });
if (!r.ok) {
  const type = r.headers.get("content-type");
  const problem = type === "text/event-stream" ? JSON.parse((await r.text()).split("\n\n")[0].slice(6)) : await r.json();
  console.log(r.status, problem.error_code, problem.details.message);
} else {
  console.log(r.status, (await r.text()).trimEnd().split("\n\n").at(-1));
}
