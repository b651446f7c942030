// How pages look and read: every page at both widths and in both themes, for eyes, screen readers and keyboards.
import AxeBuilder from "@axe-core/playwright";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { begin, connected, expect, fork, stands, test } from "./edvac.mjs";
import { hostile } from "./hostile.mjs";

const SHOTS = process.env.EDVAC_TEST_SHOTS ?? "../../target/browser-tests/shots";

const pages = (run, other) => ({
  runs: "/",
  run: `/runs/${run}`,
  step: `/runs/${run}/steps/1`,
  files: `/runs/${run}/files?path=a.txt`,
  changes: `/runs/${run}/diff`,
  program: `/runs/${run}/plan`,
  memory: `/runs/${run}/memory?q=note`,
  replay: `/runs/${run}/replay`,
  graph: `/runs/${run}/graph`,
  compare: `/compare?a=${run}&b=${other}`,
  models: "/models",
  api: "/api",
});

for (const [width, height] of [[1440, 900], [390, 844]]) {
  for (const colorScheme of ["light", "dark"]) {
    test.describe(`${width} px, ${colorScheme}`, () => {
      test.use({ viewport: { width, height }, colorScheme });

      test("no page has a serious fault or is wider than the window", async ({ inside: page, server }) => {
        await mkdir(SHOTS, { recursive: true });
        const run = await begin(page, server);
        await stands(page, "done");
        const other = await fork(page, run);
        for (const [name, address] of Object.entries(pages(run, other))) {
          await page.goto(server.url + address);
          if (name === "run") {
            await connected(page);
            await page.getByText("As a graph").click();
            await expect(page.locator("#program-drawn svg.graph")).toBeVisible();
          }
          if (name === "runs") {
            await page.getByRole("button", { name: "New run" }).click();
            await page.getByText("More", { exact: true }).click();
          }
          await page.screenshot({ path: join(SHOTS, `${name}-${width}-${colorScheme}.png`) });
          const found = await new AxeBuilder({ page }).analyze();
          const serious = found.violations.filter((fault) => ["serious", "critical"].includes(fault.impact));
          expect(serious.map((fault) => `${name}: ${fault.id}: ${fault.nodes[0].html}`)).toEqual([]);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          expect(overflow, `${name} is too wide`).toBeLessThanOrEqual(0);
        }
      });
    });
  }
}

test("everything is reached by keyboard alone", async ({ inside: page, server }) => {
  const run = await begin(page, server);
  await stands(page, "done");
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  await press("?");
  await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
  await press("Escape", "g", "r");
  await page.waitForURL(`${server.url}/`);
  await press("/");
  await expect(page.locator("#search")).toBeFocused();
  await page.locator("body").click({ position: { x: 1, y: 300 } });
  await press("j", "Enter");
  await page.waitForURL(`${server.url}/runs/${run}`);
  await press("j", "j", "Enter");
  // The address is there when the page's script is, too; a key that is pressed before that is lost.
  await page.waitForURL(`${server.url}/runs/${run}/steps/2`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("2. The second note");
  await press("[");
  await page.waitForURL(`${server.url}/runs/${run}/steps/1`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1. The first note");
  for (const [key, address] of [["f", "files"], ["d", "diff"], ["p", "plan"], ["t", "replay"]]) {
    await press("g", key);
    await page.waitForURL(`${server.url}/runs/${run}/${address}`);
  }
  await press("g", "o");
  await page.waitForURL(`${server.url}/runs/${run}`);
});

test("the API is read by keyboard", async ({ inside: page, server }) => {
  await page.keyboard.press("?");
  await page.getByRole("dialog", { name: "Keys" }).getByRole("link", { name: "the API" }).click();
  await page.waitForURL(`${server.url}/api`);
  for (const key of ["j", "j", "Enter"]) await page.keyboard.press(key);
  await expect(page).toHaveURL(/#\w+$/);
  const id = new URL(page.url()).hash.slice(1);
  await expect(page.locator(`section#${id}`)).toBeInViewport();
  await page.locator(`section#${id}`).getByRole("link", { name: "Problem" }).first().click();
  await expect(page.getByRole("heading", { name: "Problem", exact: true })).toBeInViewport();
});

test("a theme that was chosen stays", async ({ inside: page, server }) => {
  await page.getByRole("button", { name: "Light or dark" }).click();
  const chosen = await page.locator("html").getAttribute("data-theme");
  await page.goto(`${server.url}/`);
  await expect(page.locator("html")).toHaveAttribute("data-theme", chosen);
});

test("motion is reduced where that is asked for", async ({ inside: page, server, home }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  home.model.pace = 80;
  await begin(page, server);
  await stands(page, "running");
  const animation = await page.locator(".chip.busy > [aria-hidden]").first().evaluate((chip) => getComputedStyle(chip).animationName);
  expect(animation).toBe("none");
});

test("what a model writes is text, whatever it is", async ({ inside: page, server, home }) => {
  const texts = hostile();
  expect(texts.length).toBe(200);
  const file = texts.join("\n");
  home.model.extra = [
    {
      when: ["You write the plan of a project"],
      text: `TITLE: ${texts[0]}\nREQUIREMENT R1: ${texts[1]}\nSTEP 1: ${texts[2]}\nWRITES: a.html, b.svg\nREADS: -\nCOVERS: R1\nDO: Write it ${texts[3]}\nEND`,
    },
    {
      when: ["Your step now"],
      text: `${file}\n@@ write a.html\n${file}\n@@ end\n@@ write b.svg\n<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>\n@@ end\n@@ done ${texts[4]}`,
    },
  ];
  home.model.pace = 0;
  const run = await begin(page, server, texts.slice(0, 40).join("\n"));
  // Its files are no good HTML and SVG, and are found to be none.
  await stands(page, "unmet", 120_000);
  for (const address of ["", "/steps/1", "/files?path=a.html", "/files?path=b.svg", "/diff", "/plan", "/graph", "/memory", "/replay"]) {
    await page.goto(`${server.url}/runs/${run}${address}`);
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    const bodies = await page.locator("details[data-lazy]").count();
    await expect(page.locator("details[data-lazy] > :is(.fragments, .graph-box)")).toHaveCount(bodies);
    // Nothing of it became an element, a handler or a link of its own.
    const made = await page.evaluate(() => ({
      scripts: [...document.scripts].filter((script) => !script.src.endsWith("/assets/app.js")).length,
      handlers: [...document.querySelectorAll("*")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on"))).length,
      frames: document.querySelectorAll("iframe, object, embed, img, video, audio, base").length,
      links: [...document.links].filter((link) => !link.href.startsWith(location.origin)).length,
      boxes: [...document.querySelectorAll("svg a")].filter((link) => !link.href.baseVal.startsWith("/runs/")).length,
    }));
    expect(made, address).toEqual({ scripts: 0, handlers: 0, frames: 0, links: 0, boxes: 0 });
  }
  for (const path of ["a.html", "b.svg"]) {
    const raw = await page.goto(`${server.url}/api/runs/${run}/raw?path=${path}`);
    expect(raw.headers()["content-type"]).toBe("text/plain; charset=utf-8");
    expect(raw.headers()["x-content-type-options"]).toBe("nosniff");
    expect(raw.headers()["content-security-policy"]).toContain("sandbox");
  }
});

test("nobody is let in without the link or the token", async ({ page, server }) => {
  const refused = await page.goto(`${server.url}/`);
  expect(refused.status()).toBe(401);
  await page.getByLabel("Token").fill("a guess");
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByRole("alert")).toHaveText("This is not the token.");
  await page.goto(server.login);
  await page.waitForURL(`${server.url}/`);
  await page.context().clearCookies();
  // The link was used up.
  const again = await page.goto(server.login);
  expect(again.status()).toBe(401);
});
