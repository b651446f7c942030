// The API is what its description says: the document is valid, every operation answers as it is described, and no answer has a
// field that its schema does not name.
import { Validator } from "@seriousme/openapi-schema-validator";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { Client } from "./api.mjs";
import { expect, test as base } from "./edvac.mjs";

const test = base.extend({
  client: async ({ home, server }, use) => {
    const token = await readFile(join(home.dir, "state/server/token"), "utf8");
    const answer = await fetch(`${server.url}/api/openapi.json`, { headers: { authorization: `Bearer ${token}` } });
    await use(new Client(server.url, token, await answer.json()));
  },
});

const BOOK = `
title = "Bread"
task = "A short book about bread."
domain = "book"

[[requirements]]
id = "R1"
text = "There is a chapter about flour."

[[instructions]]
id = 1
title = "All of it"
text = "Write the whole book."
covers = ["R1"]
writes = ["book.toml", "src/SUMMARY.md", "src/canon.md", "src/chapter-01.md"]
`;

const WRITTEN = [
  ["book.toml", '[book]\ntitle = "Bread"\nlanguage = "en"'],
  ["src/SUMMARY.md", "# Summary\n\n- [Flour](chapter-01.md)\n- [More](chapter-02.md)\n- [Canon](canon.md)"],
  ["src/canon.md", "# Canon\n\n- **Levain**: the starter of every bread in this book\n- **Mira**: a baker who is forty years old"],
  ["src/chapter-01.md", "# Flour\n\nMira feeds the Levain with flour."],
];

/** Waits until a run stands like that. */
const stands = (client, run, status) =>
  expect
    .poll(async () => (await client.ask("getRun", { run })).run.status, { timeout: 60_000 })
    .toBe(status);

const started = async (client, more = {}) => {
  const begun = await client.ask("startRun", {}, {
    body: { task: "Two notes, each in a file of its own.", domain: "custom", ...more },
  });
  return begun.run;
};

test("the description is valid OpenAPI 3.1, and is printed without a server", async ({ client, home, server }) => {
  const found = await new Validator().validate(structuredClone(client.description));
  expect(found.errors ?? []).toEqual([]);
  expect(found.valid).toBe(true);
  expect(client.description.openapi).toMatch(/^3\.1\./);
  const printed = await home.edvac(["serve", "--openapi", "--port", String(server.port)]);
  expect(printed.code).toBe(0);
  expect(JSON.parse(printed.out)).toEqual(client.description);
  // Every reference leads somewhere.
  const names = Object.keys(client.description.components.schemas);
  for (const [, name] of JSON.stringify(client.description).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
    expect(names).toContain(name);
  }
});

test("every operation answers as it is described", async ({ client, home }) => {
  home.model.extra = [
    { when: ["Write the whole book."], text: `${WRITTEN.map(([path, text]) => `@@ write ${path}\n${text}\n@@ end`).join("\n")}\n@@ done It is there.` },
  ];
  const run = await started(client, { limits: { max_minutes: 30, max_tokens: 0 } });
  await stands(client, run, "done");

  const list = await client.ask("listRuns", { find: "notes custom", status: "done" });
  expect(list.runs.map((row) => row.run)).toEqual([run]);
  expect((await client.ask("listRuns", { find: "nothing has this" })).runs).toEqual([]);
  const whole = await client.ask("getRun", { run });
  expect(whole.steps).toHaveLength(3);
  expect(whole.timeline.lanes.length).toBeGreaterThan(3);
  const step = await client.ask("getStep", { run, step: 1 });
  const [talk] = step.step.attempts_made[0].talks;
  expect(talk.turns[0].text).toContain("@@ write a.txt");
  const prompt = await client.ask("getPrompt", { run, seq: talk.seq });
  expect(prompt.prompt.fragments.some((fragment) => fragment.text.includes("Write the first note."))).toBe(true);
  await client.ask("replayRun", { run });
  expect((await client.ask("replayRun", { run, entry: 1 })).line.seq).toBeGreaterThan(0);
  const plan = await client.ask("getProgram", { run, from: 0, to: 1 });
  expect(plan.changes[0].some((row) => row.class === "added")).toBe(true);
  await client.ask("listFiles", { run });
  const file = await client.ask("listFiles", { run, path: "a.txt", at: "step-1" });
  expect(file.files.file.lines.map((line) => [line.text, line.step])).toEqual([["one", 1], ["of two", 1]]);
  expect(await client.ask("getFile", { run, path: "b.txt" })).toBe("two\n");
  const diff = await client.ask("getChanges", { run, step: 2 });
  expect(diff.changes.map((change) => change.path)).toEqual(["b.txt"]);
  await client.ask("getChanges", { run });
  expect((await client.ask("searchMemory", { run, q: "two" })).hits.length).toBeGreaterThan(0);
  await client.ask("searchMemory", { run });
  await client.ask("listModels");
  await client.ask("getDescription");
  await client.ask("isHealthy");

  const file_of_program = join(home.dir, "book.toml");
  await writeFile(file_of_program, BOOK);
  await home.run(["--program", file_of_program]);
  const books = (await client.ask("listRuns")).runs.filter((row) => row.domain === "book");
  const { book } = await client.ask("getBook", { run: books[0].run });
  expect(book.chapters.map((chapter) => chapter.title)).toEqual(["Flour"]);
  expect(book.missing).toEqual(["More"]);
  expect(book.canon[0].chapters).toEqual([{ number: 1, times: 1 }]);

  const changed = plan.toml.replace("Write the second note.", "Write the changed note.");
  const amended = await client.ask("changeProgram", { run }, { body: { toml: changed, why: "better", version: 1 } });
  expect(amended.again).toContain(2);
  expect((await client.ask("actOnRun", { run, action: "resume" }, { body: {} })).standing).toBe("goes on");
  await stands(client, run, "done");
  const fork = await client.ask("actOnRun", { run, action: "fork" }, { body: { step: 3, paused: true } });
  expect(fork.forked_from).toBe(run);
  expect((await client.ask("getRun", { run: fork.run })).run.forked_from).toBe(run);
  expect((await client.ask("getProgramGraph", { run })).rows.map((row) => row.needs)).toEqual([[], [1], [2]]);
  expect((await client.ask("compareRuns", { a: run, b: fork.run })).b.forked_from).toBe(run);
  await client.ask("actOnRun", { run: fork.run, action: "undo" }, { body: {} });
  expect((await client.ask("actOnRun", { run: fork.run, action: "cancel" }, { body: { why: "" } })).standing).toBe("cancelled");

  expect(await client.ask("getMetrics")).toContain('edvac_runs{status="done"} ');
  const never = [...client.operations.keys()].filter((id) => !client.answered.has(id));
  expect(never.sort()).toEqual(["followRun"]);
});

test("every message of a stream is as it is described", async ({ client, home }) => {
  home.model.pace = 20;
  const run = await started(client);
  const messages = await client.follow({ run }, (heard) => heard.some(({ event, data }) => event === "live" && data.gone));
  const kinds = new Set(messages.map((message) => message.event));
  expect([...kinds].sort()).toEqual(["caught-up", "hello", "live", "part", "record"]);
  home.model.pace = 0;
  await stands(client, run, "done");
  const late = await client.follow({ run, after: 1_000_000 }, (heard) => heard.some(({ event }) => event === "caught-up"));
  expect(late.map((message) => message.event)).toContain("reload");
});

test("what is refused is refused as it is described", async ({ client }) => {
  const run = await started(client, { plan_only: true });
  await stands(client, run, "planned");
  const numbers = { step: 1, seq: 1, path: "a.txt" };
  const path = (id, values) => {
    const wanted = client.operations.get(id).parameters.filter((parameter) => parameter.in === "path" || parameter.required);
    return Object.fromEntries(wanted.map(({ name }) => [name, values[name]]));
  };
  for (const [id, operation] of client.operations) {
    if (operation.method !== "GET" || id === "isHealthy" || id === "getMetrics") continue;
    const own = operation.parameters ? path(id, { run, ...numbers }) : {};
    await client.ask(id, own, { status: 401, headers: { authorization: "Bearer wrong" } });
    await client.ask(id, own, { status: 403, headers: { origin: "http://evil.example" } });
    if ("run" in own) await client.ask(id, { ...own, run: "nobody" }, { status: 404 });
    for (const { name, schema, in: place } of operation.parameters ?? []) {
      const isNumber = [schema.type].flat().includes("integer");
      if (isNumber && place !== "header") {
        const status = place === "path" ? 404 : 400;
        await client.ask(id, { ...own, [name]: "many" }, { status });
      }
    }
  }
  const unknown = await client.ask("actOnRun", { run, action: "fly" }, { status: 404, body: {} });
  expect(unknown.error.message).toContain("fly");
  const typed = await client.ask("actOnRun", { run, action: "undo" }, { status: 422, body: { setp: 1 } });
  expect(typed.error.message).toContain("setp");
  await client.ask("actOnRun", { run, action: "undo" }, { status: 400, body: "no JSON" });
  await client.ask("actOnRun", { run, action: "undo" }, { status: 415, body: "{}", headers: { "content-type": "text/plain" } });
  await client.ask("actOnRun", { run, action: "pause" }, { status: 409, body: {} });
  await client.ask("actOnRun", { run, action: "reject" }, { status: 400, body: {} });
  await client.ask("startRun", {}, { status: 422, body: { domain: "custom" } });
  await client.ask("startRun", {}, { status: 400, body: { task: " " } });
  await client.ask("startRun", {}, { status: 413, body: { task: "x".repeat(5 << 20) } });
  await client.ask("changeProgram", { run }, { status: 400, body: { toml: "this is no program" } });
  await client.ask("changeProgram", { run }, { status: 409, body: { toml: "", version: 7 } });
});

test("a field that no schema names is seen", async ({ client }) => {
  const schema = { $ref: "#/components/schemas/RunList" };
  const answer = await client.ask("listRuns");
  expect(client.faults(schema, answer)).toEqual([]);
  expect(client.faults(schema, { ...answer, more: 1 })).not.toEqual([]);
  const run = await started(client, { plan_only: true });
  await stands(client, run, "planned");
  const whole = await client.ask("getRun", { run });
  const of = { $ref: "#/components/schemas/RunAnswer" };
  expect(client.faults(of, whole)).toEqual([]);
  // Within an object that is made of two schemas, within a list, and where a field is missing.
  expect(client.faults(of, { ...whole, run: { ...whole.run, more: 1 } })).not.toEqual([]);
  expect(client.faults(of, { ...whole, steps: [{ ...whole.steps[0], more: 1 }] })).not.toEqual([]);
  const { seq, ...without } = whole.run;
  expect(client.faults(of, { ...whole, run: without })).not.toEqual([]);
});
