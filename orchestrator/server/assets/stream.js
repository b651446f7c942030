// A run as it happens: one stream a tab, which goes on where it was cut off.

/** Entries of the log that are kept on the page; all of them are in the journal. */
const LOG_MAX = 500;
/** Pixels from the end at which a box counts as being at its end. */
const NEAR = 40;
/** Milliseconds after which a stream that the server refused is asked for again: at first, and at most. */
const RETRY_MS = [500, 10_000];

/** Attempts to connect after which a page says that there is no server. */
const FAILURES_MAX = 6;
/** How a run stands that does not go on by itself. */
const OVER = ["done", "unmet", "cancelled", "died", "planned"];

/** Keeps the page of a run up to date. */
export function follow(root, { say, refetch, localise }) {
  const run = root.dataset.run;
  let seq = Number(root.dataset.seq);
  let retry = RETRY_MS[0];
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
    if (asks || ["done", "unmet", "stopped", "died"].includes(stood)) notify(`${title}: ${words}`, asks);
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
      text.setAttribute("aria-label", `Reply to ${told.of}`);
      shown = { box: section, head, text, since: performance.now(), from: told.tokens };
      replies.set(told.of, shown);
    }
    const follows = isAtEnd(shown.text);
    if (told.whole) shown.text.textContent = told.text;
    else shown.text.append(told.text);
    const reading = told.tokens === 0 && told.prompt_total > 0;
    const rate = (told.tokens - shown.from) / ((performance.now() - shown.since) / 1000);
    shown.head.textContent = reading
      ? `${told.of}: reading the prompt, ${told.prompt_done} of ${told.prompt_total} tokens`
      : `${told.of}: ${told.tokens} tokens${rate > 0 ? `, ${rate.toFixed(1)} a second` : ""}`;
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

  let source;
  let failures = 0;
  function open() {
    close();
    source = new EventSource(`/api/runs/${run}/events?after=${seq}`);
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    on("hello", () => {
      // What was half written when the stream broke comes whole again.
      replies.forEach((shown) => shown.box.remove());
      replies.clear();
    });
    on("record", record);
    on("part", part);
    on("live", reply);
    on("reload", () => location.reload());
    on("caught-up", () => {
      connected("connected");
      retry = RETRY_MS[0];
    });
    source.addEventListener("error", () => {
      connected("lost");
      if (source?.readyState !== EventSource.CLOSED) return;
      // The browser gave up: the server refused, or is not there yet.
      setTimeout(() => document.hidden || open(), retry);
      retry = Math.min(retry * 2, RETRY_MS[1]);
    });
  }
  function close() {
    source?.close();
    source = undefined;
  }

  // A browser has few connections to one server: a tab that nobody sees gives its own up, unless it is to tell when the run ends.
  const tells = () => "Notification" in window && Notification.permission === "granted" && !OVER.includes(stood);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) source ?? open();
    else if (!tells()) close();
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  connected("connecting");
  if (!document.hidden || tells()) open();
}

/** Says it outside of the page, where its owner allowed that. */
function notify(text, asks) {
  if (!("Notification" in window) || !document.hidden) return;
  if (Notification.permission === "granted") new Notification("edvac", { body: text, requireInteraction: asks });
}
