// A trip planner's page: it keeps places, requirements and plan on the screen, and sends all of it back with each message.
// node planner_page.mjs http://127.0.0.1:7071
import assert from "node:assert/strict";

const server = process.argv[2];
let screen = { pois: [], requirements: [], plan: [] };

async function say(message) {
  const reply = await fetch(`${server}/chat`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ message, ...screen }),
  });
  assert.equal(reply.status, 200, await reply.clone().text());
  const { intents, pois, requirements, plan } = await reply.json();
  const before = screen;
  screen = { pois, requirements, plan };
  console.log(message, "->", intents.map((each) => `${each.intent}: ${each.value}`).join(", "));
  return before;
}

const days = () => screen.plan[0].days;
const visited = () => days().flatMap((day) => day.items.map((item) => item.poi_id));

await say("plan 3 days in Tokyo");
assert.equal(days().length, 3);
assert.ok(screen.pois.length > 0 && screen.pois.every((poi) => poi.city === "Tokyo"));
assert.ok(visited().every((id) => screen.pois.some((poi) => poi.id === id)));

let before = await say("add a museum");
const [museum, ...more] = screen.pois.slice(before.pois.length);
assert.deepEqual([museum.kind, museum.city, more], ["museum", "Tokyo", []]);
assert.deepEqual(screen.pois.slice(0, -1), before.pois, "the other places stay as they are");
assert.ok(visited().includes(museum.id), "it is in the plan");
assert.deepEqual(visited().filter((id) => id !== museum.id), before.plan[0].days.flatMap((day) => day.items.map((item) => item.poi_id)));

before = await say("make day 2 vegetarian");
const [requirement] = screen.requirements.slice(before.requirements.length);
assert.match(requirement.description, /vegetarian/i);
assert.deepEqual(screen.pois, before.pois);
assert.notDeepEqual(days()[1], before.plan[0].days[1], "day 2 is another one");
assert.deepEqual([days()[0], days()[2]], [before.plan[0].days[0], before.plan[0].days[2]], "and no other day is");

before = await say("remove the requirement");
assert.deepEqual(screen.requirements, before.requirements.slice(0, -1));
assert.deepEqual(screen.pois, before.pois);
assert.ok(!JSON.stringify(screen.plan).match(/vegetarian/i));
assert.deepEqual([days()[0], days()[2]], [before.plan[0].days[0], before.plan[0].days[2]]);

before = await say("thank you!");
assert.deepEqual(screen, before, "nothing to plan, nothing changes");

// What the user has on the page without the planner: a place without an id, a visit of their own, a colour.
screen.pois[0].colour = "red";
screen.pois.push({ name: "Aunt Mei", city: "Tokyo" });
screen.plan[0].days[2].items.push({ start: "19:00", end: "21:00", poi_id: "", name: "Dinner", note: "bring flowers" });
before = await say("add a garden");
assert.equal(screen.pois[0].colour, "red");
assert.ok(screen.pois.find((poi) => poi.name === "Aunt Mei").id);
assert.ok(days()[2].items.some((item) => item.name === "Dinner" && item.note === "bring flowers"));
assert.equal(screen.pois.at(-1).kind, "garden");

const left = screen.pois.filter((poi) => poi.id !== museum.id);
before = await say(`remove the ${museum.name}`);
assert.deepEqual(screen.pois, left);
assert.ok(!visited().includes(museum.id));
console.log("ok");
