// Measures what a page takes of memory while it watches a long run: node hour.mjs [tokens] [steps], with EDVAC_TEST_BINARY. A process of
// its own carries out a run that writes as many tokens as a model with 20 tokens a second writes in an hour, as fast as they go. Prints
// a line of JSON at intervals: what the page holds after its garbage was collected, and what the server has resident.
import { chromium } from "@playwright/test";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { makeHome } from "./edvac.mjs";

const TOKENS = Number(process.argv[2] ?? 72_000);
const STEPS = Number(process.argv[3] ?? 60);
/** Between two measurements. */
const EVERY_MS = 5000;

const resident = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
const megabytes = (bytes) => Math.round((bytes / 2 ** 20) * 10) / 10;

/** A program whose steps write a file each. */
const program = () => {
  const step = (id) =>
    `[[instructions]]\nid = ${id}\ntitle = "Note ${id}"\ntext = "Write note number ${id}."\nwrites = ["note-${id}.txt"]\n` +
    (id === 1 ? 'covers = ["R1"]\nchecks = [{ kind = "exists", path = "note-1.txt", covers = ["R1"] }]\n' : "");
  const steps = Array.from({ length: STEPS }, (_, at) => step(at + 1)).join("\n");
  return `title = "An hour of notes"\ndomain = "custom"\n\n[[requirements]]\nid = "R1"\ntext = "There are notes."\n\n${steps}`;
};

const home = await makeHome();
const words = Array.from({ length: Math.round(TOKENS / STEPS) }, (_, at) => (at % 12 === 11 ? `word${at}\n` : `word${at} `)).join("");
home.model.pace = 0;
home.model.extra = Array.from({ length: STEPS }, (_, at) => ({
  when: [`Write note number ${at + 1}.`, `Your step now: step ${at + 1}`],
  text: `@@ write note-${at + 1}.txt\n${words}\n@@ end\n@@ done It is there.`,
}));
await writeFile(join(home.dir, "hour.toml"), program());

const server = await home.serve();
const browser = await chromium.launch({ executablePath: process.env.EDVAC_TEST_CHROMIUM ?? "/usr/bin/chromium" });
const page = await browser.newPage();
await page.goto(server.login);
await page.waitForURL(`${server.url}/`);
const running = home.run(["--program", "hour.toml"]);
const row = page.locator(".run-row .row-link").click({ timeout: 60_000 });
const early = await Promise.race([row, running]);
if (early) throw new Error(`the run ended at once: ${early.err}`);
await page.locator('#run[data-live="connected"]').waitFor({ state: "attached" });

const cdp = await page.context().newCDPSession(page);
await cdp.send("Performance.enable");
const began = performance.now();
async function measure(when) {
  await cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await cdp.send("Runtime.getHeapUsage");
  const { metrics } = await cdp.send("Performance.getMetrics");
  const metric = (name) => metrics.find((one) => one.name === name)?.value;
  console.log(JSON.stringify({
    when,
    s: Math.round((performance.now() - began) / 1000),
    record: Number(await page.locator("#run").getAttribute("data-seq")),
    steps_finished: await page.locator(".step", { hasText: "finished" }).count(),
    page_heap_mb: megabytes(usedSize),
    page_nodes: metric("Nodes"),
    page_listeners: metric("JSEventListeners"),
    server_mb: Math.round(resident(server.child.pid)),
  }));
}

await measure("at first");
let isOver = false;
running.then(() => (isOver = true));
while (!isOver) {
  await Promise.race([running, new Promise((go) => setTimeout(go, EVERY_MS))]);
  await measure(isOver ? "over" : "running");
}
await page.locator('[data-status="done"], [data-status="unmet"]').waitFor({ timeout: 60_000 });
await measure("at the end");
await browser.close();
await home.end();
