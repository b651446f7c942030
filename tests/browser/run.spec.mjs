// A run from the page: begun, watched, changed, answered, forked, replayed.
import { begin, connected, expect, stands, test } from "./edvac.mjs";

test("a run is begun on the page, its tokens arrive, and it ends", async ({ inside: page, server, home }) => {
  home.model.pace = 60;
  const run = await begin(page, server);
  await connected(page);
  const reply = page.locator(".live-reply pre").first();
  await expect(reply).toContainText("TITLE: Two notes");
  const before = (await reply.textContent()).length;
  await expect.poll(async () => (await reply.textContent()).length).toBeGreaterThan(before);
  await expect(page.locator(".step")).toHaveCount(3);
  await expect(page.locator('[data-part="step-1"]')).toContainText("in progress");
  home.model.pace = 1;
  await stands(page, "done");
  await expect(page.locator('[data-part="step-3"]')).toContainText("finished");
  await expect(page.locator("#said")).toContainText("This run is now");
  // Nothing was missed and nothing doubled: every record of the journal that is no intent, once.
  const shown = await page.locator("#log > li").evaluateAll((all) => all.map((item) => Number(item.dataset.seq)));
  const logs = await home.edvac(["logs", run, "--json"]);
  const journal = logs.out.trim().split("\n").map((line) => JSON.parse(line));
  expect(shown).toEqual(journal.filter((record) => record.kind !== "intent").map((record) => record.seq));
});

test("a step shows its prompt's parts, its reply and its change", async ({ inside: page, server }) => {
  const run = await begin(page, server);
  await stands(page, "done");
  await page.getByRole("link", { name: "The first note" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1. The first note");
  await expect(page.locator("pre.reply")).toContainText("@@ write a.txt");
  await expect(page.locator("svg.composition")).toHaveAttribute("aria-label", /system \d+ tokens/);
  await page.getByText("Its fragments, and why each is there").click();
  await page.locator(".fragments summary").filter({ hasText: "step" }).last().click();
  await expect(page.locator(".fragments pre:visible")).toContainText("Write the first note.");
  await page.getByRole("link", { name: "What it changed" }).click();
  await expect(page.locator("table.diff .added .new").first()).toHaveText("one");
  await page.goto(`${server.url}/runs/${run}/files?path=a.txt`);
  await expect(page.locator("table.code pre")).toHaveText(["one", "of two"]);
  await expect(page.locator(".blame a")).toHaveText("step 1");
});

test("a plan is looked at, changed, put in force, and asks", async ({ inside: page, server }) => {
  const run = await begin(page, server, undefined, () => page.getByLabel("Only plan it").check());
  await stands(page, "planned");
  await page.getByRole("link", { name: "Program", exact: true }).click();
  const toml = page.getByLabel("The program as TOML");
  const program = await toml.inputValue();
  await toml.fill("this is no program");
  await page.getByRole("button", { name: "Put it in force" }).click();
  await expect(page.locator("form [data-error]")).toBeVisible();
  const asks = '[[instructions]]\nid = 9\ntitle = "Look"\n[instructions.control]\nkind = "approve"\nquestion = "Is the second note good?"\n\n';
  const third = program.indexOf("[[instructions]]\nid = 3");
  await toml.fill(program.slice(0, third) + asks + program.slice(third));
  await page.getByRole("button", { name: "Put it in force" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Program, version 2");
  await expect(page.locator("table.diff .added .new").filter({ hasText: "approve" })).toBeVisible();
  await page.goto(`${server.url}/runs/${run}`);
  await connected(page);
  await page.getByRole("button", { name: "Go on" }).click();
  await stands(page, "waiting");
  await expect(page.locator(".ask")).toContainText("Is the second note good?");
  await page.getByRole("button", { name: "Yes, go on" }).click();
  await stands(page, "done");
  await expect(page.locator('[data-part="step-3"]')).toContainText("finished");
});

test("a fork from step 3 goes its own way, and undo takes back", async ({ inside: page, server }) => {
  const run = await begin(page, server);
  await stands(page, "done");
  await page.goto(`${server.url}/runs/${run}/steps/3`);
  await page.getByRole("button", { name: "Fork from here" }).click();
  await page.waitForURL((url) => !url.href.includes(run));
  await expect(page.getByText(`a fork of ${run}`).first()).toBeVisible();
  await stands(page, "done");
  await connected(page);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(page.locator('[data-part="step-3"]')).toContainText("to do");
  await stands(page, "stopped");
  await page.getByRole("button", { name: "Go on" }).click();
  await stands(page, "done");
});

test("the slider shows a run as it was", async ({ inside: page, server }) => {
  const run = await begin(page, server);
  await stands(page, "done");
  await page.goto(`${server.url}/runs/${run}/replay`);
  const slider = page.getByRole("slider");
  await expect(page.locator(".step").filter({ hasText: "finished" })).toHaveCount(3);
  await slider.fill("1");
  await expect(page.locator(".step")).toHaveCount(0);
  await expect(page).toHaveURL(/entry=1$/);
  await slider.focus();
  const last = Number(await slider.getAttribute("max"));
  await slider.fill(String(Math.floor(last / 2)));
  await expect(page.locator(".step").filter({ hasText: "finished" })).not.toHaveCount(0);
  await expect(page.locator(".step").filter({ hasText: "to do" })).not.toHaveCount(0);
});

test("a page that is loaded again in the middle of a reply goes on", async ({ inside: page, server, home }) => {
  home.model.pace = 150;
  await begin(page, server);
  await connected(page);
  await expect(page.locator(".live-reply pre")).toContainText("REQUIREMENT R1");
  await page.reload();
  await connected(page);
  await expect(page.locator(".live-reply pre")).toContainText("TITLE: Two notes");
  home.model.pace = 1;
  await stands(page, "done");
});

test("two tabs see the same", async ({ inside: page, server, context, home }) => {
  home.model.pace = 40;
  const run = await begin(page, server);
  const other = await context.newPage();
  await other.goto(`${server.url}/runs/${run}`);
  await connected(page);
  await connected(other);
  home.model.pace = 1;
  await stands(page, "done");
  await stands(other, "done");
  const entries = (tab) => tab.locator("#log > li").evaluateAll((all) => all.map((item) => item.textContent.replace(/\s+/g, " ").trim()));
  await expect.poll(() => entries(other)).toEqual(await entries(page));
});

test("a server that was killed and comes again is found by the page", async ({ inside: page, server, home }) => {
  // The run is carried out by another process, which goes on.
  home.model.pace = 60;
  const running = home.run(["--domain", "custom", "Two notes, each in a file of its own."]);
  await page.goto(`${server.url}/`);
  await page.locator(".run-row .row-link").click({ timeout: 30_000 });
  await connected(page);
  await expect(page.locator(".live-reply pre").first()).not.toBeEmpty();
  server.child.kill("SIGKILL");
  await expect(page.locator("#connection")).toHaveText("reconnecting…");
  await home.serve(server.port);
  await connected(page);
  home.model.pace = 1;
  await stands(page, "done");
  await running;
  const shown = await page.locator("#log > li").evaluateAll((all) => all.map((item) => Number(item.dataset.seq)));
  expect(new Set(shown).size).toBe(shown.length);
  expect(shown).toEqual([...shown].sort((a, b) => a - b));
  const logs = await home.edvac(["logs", "--last", "--json"]);
  const journal = logs.out.trim().split("\n").map((line) => JSON.parse(line));
  expect(shown).toEqual(journal.filter((record) => record.kind !== "intent").map((record) => record.seq));
});

test("a run is paused, goes on, and is given up", async ({ inside: page, server, home }) => {
  home.model.pace = 80;
  await begin(page, server);
  await connected(page);
  await page.getByRole("button", { name: "Pause" }).click();
  home.model.pace = 1;
  await stands(page, "stopped");
  home.model.pace = 80;
  await page.getByRole("button", { name: "Go on" }).click();
  await stands(page, "running");
  await page.getByRole("button", { name: "Cancel" }).click();
  await stands(page, "cancelled");
});
