// The real binary, in a place of its own, and a browser that is let in.
import { test as base, expect } from "@playwright/test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { startModel } from "./model.mjs";

export const BINARY = process.env.EDVAC_TEST_BINARY;

/** A place with a model, and servers and commands in it. */
class Home {
  constructor(dir, model) {
    this.dir = dir;
    this.model = model;
    this.children = new Set();
  }

  environment() {
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("EDVAC_")));
    const at = (name) => join(this.dir, name);
    return {
      ...own,
      EDVAC_CONFIG: at("config.toml"), EDVAC_STATE: at("state"), EDVAC_WORKSPACES: at("workspaces"),
      EDVAC_MODELS: at("models"), EDVAC_CACHE: at("cache"), NO_COLOR: "1",
    };
  }

  spawn(args) {
    const child = spawn(BINARY, args, { cwd: this.dir, env: this.environment(), stdio: ["ignore", "pipe", "pipe"] });
    this.children.add(child);
    child.on("exit", () => this.children.delete(child));
    child.said = "";
    child.stderr.on("data", (text) => (child.said += text));
    return child;
  }

  /** A command, to its end. */
  async edvac(args) {
    const child = this.spawn(args);
    let out = "";
    child.stdout.on("data", (text) => (out += text));
    const [code] = await once(child, "close");
    return { code, out, err: child.said };
  }

  /** A run from the command line, with the model of this place. */
  run(args) {
    return this.edvac(["run", "--quiet", "--base-url", this.model.url, "--model", "fake", ...args]);
  }

  /** A server; the same port again after it was killed. */
  async serve(port = 0) {
    const child = this.spawn([
      "serve", "--no-model", "--json", "--port", String(port), "--base-url", this.model.url, "--model", "fake",
    ]);
    const lines = createInterface({ input: child.stdout });
    const line = await Promise.race([once(lines, "line"), once(child, "exit").then(() => undefined)]);
    if (!line) throw new Error(`no server: ${child.said}`);
    const told = JSON.parse(line[0]);
    return { child, port: told.port, url: `http://127.0.0.1:${told.port}`, login: told.dashboard_url };
  }

  async end() {
    for (const child of this.children) child.kill("SIGKILL");
    await this.model.stop();
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

/** Such a place. */
export const makeHome = async () => new Home(await mkdtemp(join(tmpdir(), "edvac-browser-")), await startModel());

export const test = base.extend({
  home: async ({}, use) => {
    const home = await makeHome();
    await use(home);
    await home.end();
  },
  server: async ({ home }, use) => use(await home.serve()),
  /** A page that was let in, and that may not fail, warn of its policy, or ask anybody else. */
  inside: async ({ page, server }, use) => {
    const wrong = [];
    page.on("pageerror", (error) => wrong.push(error.message));
    page.on("console", (line) => {
      if (/Content Security Policy|Refused to/.test(line.text())) wrong.push(line.text());
    });
    page.on("dialog", (dialog) => {
      if (dialog.type() !== "confirm") wrong.push(`a dialog: ${dialog.message()}`);
      return dialog.accept();
    });
    page.on("request", (request) => {
      if (!request.url().startsWith(server.url)) wrong.push(`a request to ${request.url()}`);
    });
    await page.goto(server.login);
    await page.waitForURL(`${server.url}/`);
    await use(page);
    expect(wrong).toEqual([]);
  },
});

export { expect };

/** Waits until the page of a run says how it stands. */
export const stands = (page, status, timeout = 60_000) =>
  expect(page.locator(`[data-status="${status}"]`)).toBeVisible({ timeout });

/** The page of a run that is connected to its stream. */
export const connected = (page) => expect(page.locator('#run[data-live="connected"]')).toBeAttached();

/** A run that another one is copied into, up to its last point; it does not go on by itself. */
export async function fork(page, run) {
  const told = await page.evaluate(async (run) => {
    const body = JSON.stringify({ paused: true });
    const answer = await fetch(`/api/runs/${run}/fork`, { method: "POST", headers: { "content-type": "application/json" }, body });
    return answer.json();
  }, run);
  return told.run;
}

/** Begins a run with the form of the first page. */
export async function begin(page, server, task = "Two notes, each in a file of its own.", more = async () => {}) {
  await page.goto(`${server.url}/`);
  await page.getByRole("button", { name: "New run" }).click();
  await page.getByLabel("What is to be made?").fill(task);
  await page.getByText("More", { exact: true }).click();
  await page.getByLabel("Kind").selectOption("custom");
  await more();
  await page.getByRole("button", { name: "Start" }).click();
  await page.waitForURL(/\/runs\//);
  return page.url().split("/").pop();
}
