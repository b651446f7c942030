// Pages that show more than one thing: a form with everything in it, two runs compared, what is connected with what; and tabs that
// share what they hear.
import { execFileSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { begin, connected, expect, fork, stands, test } from "./edvac.mjs";

const logOf = (tab) => tab.locator("#log > li").evaluateAll((all) => all.map((item) => Number(item.dataset.seq)));

/** The records of a journal that are no intents. */
async function journal(home, run) {
  const logs = await home.edvac(["logs", run, "--json"]);
  const records = logs.out.trim().split("\n").map((line) => JSON.parse(line));
  return records.filter((record) => record.kind !== "intent").map((record) => record.seq);
}

/** A tab that believes it is in the background when it is told so, and notes what it says outside of the page. */
async function watchNotices(context, url) {
  await context.grantPermissions(["notifications"], { origin: url });
  await context.addInitScript(() => {
    let hidden = false;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    Object.defineProperty(document, "visibilityState", { get: () => (hidden ? "hidden" : "visible") });
    globalThis.goToBackground = (value) => {
      hidden = value;
      document.dispatchEvent(new Event("visibilitychange"));
    };
    globalThis.notices = [];
    const Real = globalThis.Notification;
    globalThis.Notification = class extends Real {
      constructor(title, options) {
        super(title, options);
        globalThis.notices.push({ title, ...options });
      }
    };
  });
}

const notices = (tab) => tab.evaluate(() => globalThis.notices);
const hide = (tab, value = true) => tab.evaluate((value) => globalThis.goToBackground(value), value);

test("a run begins in a repository, and what is wrong is said at its field", async ({ inside: page, server, home }) => {
  const repo = join(home.dir, "project");
  const git = (...args) => execFileSync("git", ["-c", "user.name=a", "-c", "user.email=a@b.example", "-C", repo, ...args]);
  execFileSync("git", ["init", "-q", repo]);
  await writeFile(join(repo, "a.txt"), "there before\n");
  git("add", "--all");
  git("commit", "-qm", "one");
  await page.getByRole("button", { name: "New run" }).click();
  await page.getByLabel("What is to be made?").fill("Two notes, each in a file of its own.");
  await page.getByText("More", { exact: true }).click();
  await page.getByLabel("Kind").selectOption("custom");
  const path = page.getByLabel("Repository to work on");
  await path.fill("project");
  await page.getByLabel("Steps at the same time").fill("2");
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.locator("form[data-start] [data-error]")).toContainText("no whole path");
  await expect(path).toBeFocused();
  await expect(path).toHaveAttribute("aria-invalid", "true");
  await path.fill(repo);
  await page.getByRole("button", { name: "Start" }).click();
  await page.waitForURL(/\/runs\//);
  await expect(page.getByText(`works on a copy of ${repo}`)).toBeVisible();
  await stands(page, "done");
  expect(git("log", "--oneline").toString().trim().split("\n")).toHaveLength(1);
});

test("two runs are chosen and compared by keyboard", async ({ inside: page, server }) => {
  const run = await begin(page, server);
  await stands(page, "done");
  const other = await fork(page, run);
  await page.goto(`${server.url}/`);
  const boxes = page.getByRole("checkbox", { name: "to compare it" });
  await expect(boxes).toHaveCount(2);
  await page.getByRole("button", { name: "Compare the two chosen runs" }).press("Enter");
  await expect(page.locator("[data-compare] [data-error]")).toHaveText(/Choose two runs/);
  await boxes.first().press("Space");
  await page.keyboard.press("Tab");
  // The list is fetched anew every few seconds, and leaves the focus and what was chosen where they are.
  const focused = await page.evaluate(() => document.activeElement.getAttribute("href"));
  await page.waitForResponse((answer) => answer.url() === `${server.url}/`);
  await page.waitForResponse((answer) => answer.url() === `${server.url}/`);
  expect(await page.evaluate(() => document.activeElement.getAttribute("href"))).toBe(focused);
  await expect(boxes.first()).toBeChecked();
  await boxes.last().press("Space");
  await page.getByRole("button", { name: "Compare the two chosen runs" }).press("Enter");
  await page.waitForURL((url) => url.pathname === "/compare" && url.searchParams.get("a") === other && url.searchParams.get("b") === run);
  await expect(page.getByText("None: the files are the same.")).toBeVisible();
  await page.goto(`${server.url}/runs/${other}`);
  await page.getByRole("link", { name: "compare with its parent" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Two runs compared");
  await page.getByRole("link", { name: "Swap sides" }).click();
  await page.waitForURL((url) => url.searchParams.get("a") === other);
});

test("the program is drawn, and its boxes lead to its steps", async ({ inside: page, server, home }) => {
  home.model.pace = 40;
  const run = await begin(page, server);
  await expect(page.locator(".step")).toHaveCount(3);
  await page.reload();
  await page.getByText("As a graph").click();
  const third = page.locator("#program-drawn a.node").nth(2);
  await expect(third).toHaveAttribute("aria-label", /step 3: Both, to do; stands on/);
  home.model.pace = 1;
  await stands(page, "done");
  await expect(third).toHaveAttribute("aria-label", /step 3: Both, finished/);
  await third.focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(`${server.url}/runs/${run}/steps/3`);
  await page.goto(`${server.url}/runs/${run}/graph`);
  await expect(page.getByRole("table").getByRole("row").nth(3)).toContainText("step 2");
  await page.goto(`${server.url}/runs/${run}/memory`);
  const both = page.getByRole("table").getByRole("row").filter({ hasText: "a.txt" });
  await expect(both.getByRole("cell").first()).toHaveText("step 1");
  await expect(both.getByRole("cell").last()).toContainText("step 3");
  await expect(page.locator(".edge.shown").first()).toBeAttached();
});

test("eight tabs on one run all see its end, over one stream", async ({ inside: page, server, context, home }) => {
  home.model.pace = 60;
  const run = await begin(page, server);
  await connected(page);
  const tabs = [page];
  while (tabs.length < 8) {
    const tab = await context.newPage();
    await tab.goto(`${server.url}/runs/${run}`);
    tabs.push(tab);
  }
  for (const tab of tabs) await connected(tab);
  const locks = await page.evaluate(() => navigator.locks.query());
  const ofStream = (list) => list.filter((lock) => lock.name === `edvac-run-${run}`).length;
  expect([ofStream(locks.held), ofStream(locks.pending)]).toEqual([1, 7]);
  await expect(tabs[7].locator(".live-reply pre").first()).not.toBeEmpty();
  // The one that holds the stream goes in the middle of it; another one goes on, and nobody misses anything.
  await page.close();
  const rest = tabs.slice(1);
  home.model.pace = 20;
  for (const tab of rest) await stands(tab, "done");
  const expected = await journal(home, run);
  for (const tab of rest) await expect.poll(() => logOf(tab)).toEqual(expected);
});

test("a tab says outside of the page that a run waits and that it ends, once", async ({ server, context, home }) => {
  await watchNotices(context, server.url);
  const page = await context.newPage();
  await page.goto(server.login);
  await page.waitForURL(`${server.url}/`);
  const run = await begin(page, server, undefined, () => page.getByLabel("Only plan it").check());
  await stands(page, "planned");
  await page.goto(`${server.url}/runs/${run}/plan`);
  const toml = page.getByLabel("The program as TOML");
  const program = await toml.inputValue();
  const asks = '[[instructions]]\nid = 9\ntitle = "Look"\n[instructions.control]\nkind = "approve"\nquestion = "Is it good?"\n\n';
  const third = program.indexOf("[[instructions]]\nid = 3");
  await toml.fill(program.slice(0, third) + asks + program.slice(third));
  await page.getByRole("button", { name: "Put it in force" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Program, version 2");
  const tabs = [page, await context.newPage()];
  for (const tab of tabs) {
    await tab.goto(`${server.url}/runs/${run}`);
    await connected(tab);
  }
  const all = async () => (await Promise.all(tabs.map(notices))).flat();

  // It goes on slowly until nobody looks.
  home.model.pace = 500;
  await page.getByRole("button", { name: "Go on" }).click();
  for (const tab of tabs) await stands(tab, "running");
  for (const tab of tabs) await hide(tab);
  home.model.pace = 1;
  for (const tab of tabs) await stands(tab, "waiting");
  await expect.poll(async () => (await all()).length).toBe(1);
  const [waits] = await all();
  expect(waits.body).toContain("waits for you");
  expect(waits.requireInteraction).toBe(true);

  // While one of them is looked at, nothing is said outside.
  await hide(page, false);
  await page.getByRole("button", { name: "Yes, go on" }).click();
  for (const tab of tabs) await stands(tab, "done");
  expect(await all()).toHaveLength(1);

  // Both in the background again, its end is said, once.
  await page.getByRole("button", { name: "Undo" }).click();
  await stands(page, "stopped");
  home.model.pace = 500;
  await page.getByRole("button", { name: "Go on" }).click();
  await stands(page, "running");
  for (const tab of tabs) await hide(tab, false);
  for (const tab of tabs) await stands(tab, "running");
  for (const tab of tabs) await hide(tab);
  home.model.pace = 1;
  for (const tab of tabs) await stands(tab, "done");
  await expect.poll(async () => (await all()).length).toBe(2);
  expect((await all()).at(-1).body).toContain("done");
});

test("a run that is removed while it is watched is called gone", async ({ inside: page, server, home }) => {
  const run = await begin(page, server);
  await stands(page, "done");
  await connected(page);
  await rm(join(home.dir, "state", "runs", run), { recursive: true });
  await stands(page, "gone");
  await expect(page.locator("#connection")).toHaveText("this run was removed");
});
