// The pages' own script. Everything that is shown comes rendered from the server; this puts it in its place.
import { follow } from "/assets/stream.js";

const page = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Tells those who cannot see it; one polite line for the whole page. */
export function say(text) {
  const line = page("#said");
  if (line.textContent !== text) line.textContent = text;
}

/** Times as this browser's owner reads them. */
export function localise(root = document) {
  for (const time of all("time[data-ms]", root)) {
    const at = new Date(Number(time.dataset.ms));
    time.dateTime = at.toISOString();
    time.textContent = at.toLocaleString();
  }
}

/** How each part looked when it came: what is the same is left alone, with whatever somebody does in it. */
const looked = new WeakMap();

/** Puts other children in the place of those that are there; what is chosen, opened and focused stays so. */
function replace(here, there) {
  const html = there.innerHTML;
  if (looked.get(here) === html) return;
  looked.set(here, html);
  const same = (element) => {
    if (element.id) return `#${CSS.escape(element.id)}`;
    const name = ["value", "href"].find((attribute) => element.hasAttribute(attribute));
    return name && `${element.localName}[${name}="${CSS.escape(element.getAttribute(name))}"]`;
  };
  const focused = here.contains(document.activeElement) && same(document.activeElement);
  const chosen = all("input:checked", here).map(same);
  const opened = all("details[open][id]", here).map(same);
  here.replaceChildren(...there.childNodes);
  for (const one of chosen) if (one && page(one, here)) page(one, here).checked = true;
  for (const one of opened) if (page(one, here)) page(one, here).open = true;
  if (focused) page(focused, here)?.focus({ preventScroll: true });
  localise(here);
}

/** Puts parts of another version of this page in the place of those that are here. */
export async function refetch(name, address = location.href) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const other = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const here of all(`[data-refetch^="${name}"], [data-part="${name}"][data-refresh]`)) {
    const kind = here.dataset.refetch ? `[data-refetch="${here.dataset.refetch}"]` : `[data-part="${name}"]`;
    const there = page(kind, other);
    if (there) replace(here, there);
  }
}

// Light and dark.
function theme() {
  const root = document.documentElement;
  const kept = localStorage.getItem("theme");
  if (kept) root.dataset.theme = kept;
  page("#theme")?.addEventListener("click", () => {
    const dark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });
}

// Keys.
function keys() {
  let before = "";
  const row = (step) => {
    const rows = all("[data-row] .row-link, details[data-row] > summary");
    const at = rows.indexOf(document.activeElement);
    rows[Math.min(Math.max(at + step, 0), rows.length - 1)]?.focus();
  };
  const go = (name) => page(`[data-go="${name}"]`)?.click();
  document.addEventListener("keydown", (event) => {
    const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (typing || event.ctrlKey || event.metaKey || event.altKey || page("dialog[open]")) return;
    const pressed = before === "g" ? `g${event.key}` : event.key;
    before = event.key === "g" && before !== "g" ? "g" : "";
    const acts = {
      "?": () => page("#help").showModal(),
      j: () => row(1),
      k: () => row(-1),
      "/": () => page("#search")?.focus(),
      gr: () => (location.href = "/"),
      "[": () => page('a[rel="prev"]')?.click(),
      "]": () => page('a[rel="next"]')?.click(),
    };
    const act = acts[pressed] ?? (/^g[ofdpbmt]$/.test(pressed) ? () => go(pressed[1]) : undefined);
    if (act) {
      event.preventDefault();
      act();
    }
  });
  page("#keys")?.addEventListener("click", () => page("#help").showModal());
}

/** Sends JSON and gives what came back; throws what the server said where it refused. */
async function send(method, address, body) {
  const answer = await fetch(address, {
    method,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(told.error?.message ?? `the server said ${answer.status}`);
    throw Object.assign(error, { field: told.error?.param });
  }
  return told;
}

function shows(form, error) {
  const field = error.field && form.elements.namedItem(error.field);
  if (field) {
    field.closest("details")?.setAttribute("open", "");
    field.setAttribute("aria-invalid", "true");
    field.addEventListener("input", () => field.removeAttribute("aria-invalid"), { once: true });
    field.focus();
  }
  const near = page("[data-error]", form) ?? page("[data-error]", form.closest("div, section, main"));
  if (near) {
    near.textContent = error.message;
    near.hidden = false;
    if (!field) near.scrollIntoView({ block: "nearest" });
    else if (!near.contains(field)) field.closest("label")?.after(near);
  }
  say(error.message);
}

const number = (text) => (text === "" || text === null ? undefined : Number(text));

/** The limits of a form: its fields, and the one that stopped a run under the name of its flag. */
function limits(data) {
  const found = {};
  for (const key of ["max_tokens", "max_minutes", "max_calls", "parallel", "replans"]) found[key] = number(data.get(key));
  found.max_cost = data.get("max_cost") || undefined;
  for (const [name, value] of data) {
    if (!name.startsWith("limit:--")) continue;
    const key = name.slice("limit:--".length).replaceAll("-", "_");
    found[key] = key === "max_cost" ? value : number(value);
  }
  return found;
}

async function start(form) {
  const data = new FormData(form);
  const order = { task: data.get("task"), limits: limits(data) };
  for (const key of [
    "domain", "name", "in", "provider", "model", "base_url", "second_model", "second_provider", "second_base_url",
  ]) order[key] = data.get(key) || null;
  for (const key of ["plan_only", "include_changes"]) order[key] = data.get(key) === "on";
  const told = await send("POST", "/api/runs", order);
  location.href = `/runs/${told.run}`;
}

async function act(form) {
  if (form.dataset.sure && !confirm(form.dataset.sure)) return;
  const run = form.closest("[data-run]").dataset.run;
  const data = new FormData(form);
  const told = await send("POST", `/api/runs/${run}/${form.dataset.act}`, {
    step: form.dataset.step ? Number(form.dataset.step) : undefined,
    why: data.get("why") ?? "",
    limits: limits(data),
  });
  if ("opens" in form.dataset || !page("#run")) location.href = `/runs/${told.run}`;
}

async function amend(form) {
  const data = new FormData(form);
  const { run, version } = form.dataset;
  await send("PUT", `/api/runs/${run}/plan`, { toml: data.get("toml"), why: data.get("why"), version: Number(version) });
  location.reload();
}

function forms() {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const kinds = { start, act, amend };
    const kind = Object.keys(kinds).find((name) => name in form.dataset);
    if ("compare" in form.dataset && all('input[name="run"]:checked', form).length !== 2) {
      event.preventDefault();
      shows(form, new Error("Choose two runs, each by the box before its name."));
    }
    if (!kind) return;
    event.preventDefault();
    const buttons = all("button", form);
    buttons.forEach((button) => (button.disabled = true));
    try {
      await kinds[kind](form);
    } catch (error) {
      shows(form, error);
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  });
  // A field in what is folded cannot be pointed at.
  document.addEventListener("invalid", (event) => event.target.closest("details")?.setAttribute("open", ""), true);
  document.addEventListener("change", (event) => {
    if ("submit" in event.target.dataset) event.target.form.requestSubmit();
  });
  document.addEventListener("click", (event) => {
    const opens = event.target.closest?.("[data-open]");
    if (opens) document.getElementById(opens.dataset.open).showModal();
    event.target.closest?.("[data-close]")?.closest("dialog").close();
  });
}

// Attempts: one tab each, moved through by arrows.
function tabs() {
  for (const group of all("[data-tabs]")) {
    const list = all('[role="tab"]', group);
    const choose = (chosen) => {
      for (const tab of list) {
        tab.setAttribute("aria-selected", String(tab === chosen));
        tab.tabIndex = tab === chosen ? 0 : -1;
        document.getElementById(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
      }
      history.replaceState(null, "", `#${chosen.id}`);
    };
    list.forEach((tab, at) => {
      tab.addEventListener("click", () => choose(tab));
      tab.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = list[(at + step + list.length) % list.length];
        choose(next);
        next.focus();
      });
    });
    const named = list.find((tab) => `#${tab.id}` === location.hash);
    if (named) choose(named);
  }
}

// Bodies that are fetched when they are opened.
function lazy() {
  document.addEventListener(
    "toggle",
    async (event) => {
      const details = event.target;
      const address = details.dataset?.lazy;
      if (!address || !details.open || details.dataset.loaded) return;
      details.dataset.loaded = "yes";
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      const other = new DOMParser().parseFromString(await answer.text(), "text/html");
      details.append(...(page("[data-lazy-body]", other)?.children ?? []));
    },
    true,
  );
}

// The slider of the replay: shows the run as it was while it is moved.
function slider() {
  const form = page("[data-slider]");
  if (!form) return;
  const range = page("input", form);
  let waiting;
  range.addEventListener("input", () => {
    page("output", form).textContent = range.value;
    clearTimeout(waiting);
    waiting = setTimeout(async () => {
      const address = `${location.pathname}?entry=${range.value}`;
      history.replaceState(null, "", address);
      await refetch("replay", address);
    }, 120);
  });
}

// Notifications, for whoever asks for them.
function notices() {
  const button = page("#notify");
  if (!("Notification" in window) || Notification.permission !== "default") return;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const answer = await Notification.requestPermission();
    button.hidden = true;
    say(answer === "granted" ? "You are told when it ends, and when it asks." : "Your browser does not allow that.");
  });
}

for (const tab of all(".tabs a")) {
  if (tab.pathname === location.pathname) tab.setAttribute("aria-current", "page");
}
theme();
keys();
forms();
tabs();
lazy();
slider();
localise();
const run = page("#run");
if (run && page('[data-status="running"], [data-status="waiting"], [data-status="stopped"]')) notices();
// The graph of the program shows how its steps stand, where it is open.
let redrawing;
function changed(part) {
  const drawn = page("#program-drawn[open]");
  if (!drawn || !/^(step-|version)/.test(part)) return;
  clearTimeout(redrawing);
  redrawing = setTimeout(() => refetch("graph", drawn.dataset.lazy), 1000);
}
if (run) follow(run, { say, refetch, localise, changed });
for (const part of all("[data-every]")) {
  setInterval(() => document.hidden || refetch(part.dataset.refetch), Number(part.dataset.every));
}
const runs = page('[data-part="runs"]');
if (runs) setInterval(() => document.hidden || refetch("runs"), 3000);
