// The protocol's own client, which is not ours: it starts a run, hears how it goes on, changes its plan and answers it.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { expect } from "@playwright/test";

import { BINARY, test } from "./edvac.mjs";

const APPROVE = '[[instructions]]\nid = 9\ntitle = "Look"\n[instructions.control]\nkind = "approve"\nquestion = "Is it good?"\n\n';

test("another program starts, follows, changes and answers a run", async ({ home }) => {
  const client = new Client({ name: "test", version: "1" });
  const args = ["mcp", "--base-url", home.model.url, "--model", "fake"];
  await client.connect(new StdioClientTransport({ command: BINARY, args, env: home.environment(), cwd: home.dir }));
  const call = async (name, given, heard) => {
    const result = await client.callTool({ name, arguments: given }, undefined, { onprogress: heard, timeout: 120_000 });
    expect(result.isError, JSON.stringify(result.content)).toBeFalsy();
    return result.structuredContent ?? result.content[0].text;
  };
  const { run } = await call("run_start", { task: "Two notes.", domain: "custom", plan_only: true });
  expect((await call("run_wait", { run, timeout_s: 100 })).status).toBe("planned");
  const toml = await call("run_plan", { run });
  const third = toml.indexOf("[[instructions]]\nid = 3");
  await call("run_change_plan", { run, toml: toml.slice(0, third) + APPROVE + toml.slice(third), why: "to be sure" });
  await call("run_resume", { run, limits: { max_tokens: 100_000 } });
  const heard = [];
  const waits = await call("run_wait", { run, timeout_s: 100 }, (progress) => heard.push(progress.message));
  expect([waits.status, waits.question]).toEqual(["waiting", "Is it good?"]);
  // What happened last is in the answer, which may overtake its news.
  expect(heard[0]).toContain("started on fake");
  await call("run_approve", { run });
  const done = await call("run_wait", { run, after: waits.seq, timeout_s: 100 });
  expect([done.status, done.goes_on]).toEqual(["done", false]);
  expect(done.log.every((line) => line.seq > waits.seq)).toBe(true);
  const report = (await client.listResources()).resources.find((resource) => resource.uri.includes(run));
  expect((await client.readResource({ uri: report.uri })).contents[0].text).toContain("R2");
  expect(await call("run_read", { run, path: "both.txt", first: 2, last: 2 })).toContain("of two");
  await client.close();
});
