// A run as it happens, on its page. It goes on where it was cut off.
import { isShown, listen, shows } from "/assets/shared.js";

/** Entries of the log that are kept on the page; all of them are in the journal. */
const LOG_MAX = 500;
/** Pixels from the end at which a box counts as being at its end. */
const NEAR = 40;
/** Characters of a reply in progress that are kept on the page; it stands whole at its step once it is recorded. */
const REPLY_CHARS_MAX = 40_000;
/** Milliseconds after which a page says why it may not be connected yet. */
const CONNECTING_MS = 8000;
/** Attempts to connect after which a page says that there is no server. */
const FAILURES_MAX = 6;
/** How a run stands that does not go on by itself. */
const OVER = ["done", "unmet", "cancelled", "died", "planned", "gone"];

/** Keeps the page of a run up to date. */
export function follow(root, { say, refetch, localise, changed }) {
  const run = root.dataset.run;
  let seq = Number(root.dataset.seq);
  const at = (name) => root.querySelector(`[data-part="${CSS.escape(name)}"]`);

  function part({ name, html }) {
    const here = at(name);
    if (!here) return;
    const version = here.querySelector("[data-version]")?.dataset.version;
    const opened = [...here.querySelectorAll("details")].map((details) => details.open);
    // What somebody is writing into a form is not taken away.
    if (here.contains(document.activeElement) && /^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
    const focused = document.activeElement?.closest?.("form[data-act]")?.dataset.act;
    here.innerHTML = html;
    [...here.querySelectorAll("details")].forEach((details, index) => (details.open = opened[index] ?? false));
    if (focused) here.querySelector(`form[data-act="${focused}"] button`)?.focus();
    localise(here);
    if (name === "version" && here.querySelector("[data-version]").dataset.version !== version) refetch("program");
    if (name === "head") status(here);
    changed(name);
  }

  let stood = root.querySelector("[data-status]")?.dataset.status;
  function status(head) {
    const chip = head.querySelector("[data-status]");
    if (!chip || chip.dataset.status === stood) return;
    stood = chip.dataset.status;
    const title = head.querySelector("h1").textContent;
    const words = chip.querySelector("[data-word]").textContent;
    say(`This run is now: ${words}`);
    document.title = `${chip.querySelector("[aria-hidden]").textContent} ${title} · edvac`;
    const asks = stood === "waiting";
    if (asks || ["done", "unmet", "stopped", "died", "gone"].includes(stood)) notify(`${title}: ${words}`, asks);
  }

  const box = root.querySelector("#log-box");
  const log = root.querySelector("#log");
  const toEnd = root.querySelector("#to-end");
  const isAtEnd = (element) => element.scrollHeight - element.scrollTop - element.clientHeight < NEAR;
  let unread = 0;
  const showEnd = () => {
    box.scrollTop = box.scrollHeight;
    unread = 0;
    toEnd.hidden = true;
  };
  showEnd();
  toEnd.addEventListener("click", showEnd);
  box.addEventListener("scroll", () => isAtEnd(box) && showEnd());

  function record(line) {
    if (line.seq <= seq) return;
    seq = line.seq;
    root.dataset.seq = String(seq);
    const follows = isAtEnd(box);
    const item = document.createElement("li");
    item.dataset.seq = String(line.seq);
    const number = item.appendChild(document.createElement("span"));
    number.className = "at";
    number.textContent = String(line.seq);
    if (line.step) {
      const link = document.createElement("a");
      link.href = `/runs/${run}/steps/${line.step}`;
      link.textContent = `step ${line.step}`;
      item.append(" ", link);
    }
    item.append(" ", line.words);
    if (line.checks?.length) {
      const list = item.appendChild(document.createElement("ul"));
      for (const check of line.checks) list.appendChild(document.createElement("li")).textContent = check;
    }
    log.append(item);
    while (log.children.length > LOG_MAX) log.firstElementChild.remove();
    if (follows) showEnd();
    else {
      unread += 1;
      toEnd.textContent = `${unread} new ↓`;
      toEnd.hidden = false;
    }
  }

  const live = root.querySelector("#live");
  const nothing = live.querySelector("[data-nothing]");
  const replies = new Map();
  function reply(told) {
    let shown = replies.get(told.of);
    if (told.gone) {
      // It is recorded by now, and stands whole at its step.
      shown?.box.remove();
      replies.delete(told.of);
      nothing.hidden = replies.size > 0;
      return;
    }
    const heard = shown?.heard ?? 0;
    if (!told.whole && told.after > heard) {
      // Something before it was missed.
      stream.again();
      return;
    }
    nothing.hidden = true;
    if (!shown) {
      const section = live.appendChild(document.createElement("div"));
      section.className = "live-reply";
      const head = section.appendChild(document.createElement("p"));
      head.className = "faint";
      const text = section.appendChild(document.createElement("pre"));
      text.className = "text";
      text.tabIndex = 0;
      text.setAttribute("role", "log");
      text.setAttribute("aria-live", "off");
      text.setAttribute("aria-label", `Reply to ${told.about}`);
      const node = text.appendChild(document.createTextNode(""));
      shown = { box: section, head, text, node, heard: 0, since: performance.now(), from: told.tokens };
      replies.set(told.of, shown);
    }
    const follows = isAtEnd(shown.text);
    if (told.whole) {
      shown.node.data = told.text.slice(-REPLY_CHARS_MAX);
      shown.heard = told.text.length;
    } else {
      const more = told.text.slice(heard - told.after);
      shown.node.appendData(more);
      shown.heard += more.length;
      if (shown.node.length > 2 * REPLY_CHARS_MAX) shown.node.deleteData(0, shown.node.length - REPLY_CHARS_MAX);
    }
    const reading = told.tokens === 0 && told.prompt_total > 0;
    const rate = (told.tokens - shown.from) / ((performance.now() - shown.since) / 1000);
    shown.head.textContent = reading
      ? `${told.about}: reading the prompt, ${told.prompt_done} of ${told.prompt_total} tokens`
      : `${told.about}: ${told.tokens} tokens${rate > 0 ? `, ${rate.toFixed(1)} a second` : ""}${
          shown.node.length < shown.heard ? "; its beginning is left out here" : ""
        }`;
    if (reading) shown.since = performance.now();
    if (follows) shown.text.scrollTop = shown.text.scrollHeight;
  }

  const connection = document.querySelector("#connection");
  function connected(word) {
    root.dataset.live = word;
    connection.hidden = word === "connected";
    connection.textContent = word === "connected" ? "" : "reconnecting…";
    if (word === "connected") failures = 0;
    else if (word === "lost" && (failures += 1) > FAILURES_MAX) {
      connection.textContent = "the server has ended: edvac serve shows this run again";
    }
  }

  let failures = 0;
  let stream;
  let unseen = () => {};
  const acts = {
    hello() {
      // What was half written when the stream broke comes whole again.
      replies.forEach((shown) => shown.box.remove());
      replies.clear();
    },
    record,
    part,
    live: reply,
    reload: () => location.reload(),
    gone() {
      close();
      connection.hidden = false;
      connection.textContent = "this run was removed";
    },
    "caught-up": () => connected("connected"),
  };
  function open() {
    close();
    stream = listen(run, { after: () => seq, hear: (name, data) => acts[name](data), state: connected });
  }
  function close() {
    stream?.close();
    stream = undefined;
  }

  // A tab that nobody sees leaves the stream to others, unless it is to tell when the run ends.
  const tells = () => "Notification" in window && Notification.permission === "granted" && !OVER.includes(stood);
  function look() {
    unseen();
    unseen = document.hidden ? () => {} : shows(run);
    if (!document.hidden) stream ?? open();
    else if (!tells()) close();
  }
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && look());
  connected("connecting");
  setTimeout(() => {
    if (root.dataset.live === "connecting") connection.textContent = "no connection yet: other tabs may hold all that a browser has";
  }, CONNECTING_MS);
  look();
  if (tells()) stream ?? open();

  /** Says it outside of the page, where its owner allowed that and no tab shows it: once, whoever many tabs there are. */
  async function notify(body, asks) {
    if (!("Notification" in window) || Notification.permission !== "granted") return;
    if (!stream?.leads() || !document.hidden || (await isShown(run))) return;
    const notice = new Notification("edvac", { body, requireInteraction: asks, tag: `edvac-${run}-${seq}` });
    notice.addEventListener("click", () => {
      window.focus();
      notice.close();
    });
  }
}
