// One stream for all tabs that show the same run: a browser has six connections to a server, and a stream holds one for as long as it
// lasts. One tab holds the stream and passes on what it hears; when it goes, another one goes on from the last record.
//
// Who holds it is settled by a lock, which a browser takes from a tab that ends however it ends. Where there are no locks (a page that
// came over plain HTTP from another machine), each tab has a stream of its own.

/** Milliseconds after which a stream that the server refused is asked for again: at first, and at most. */
const RETRY_MS = [500, 10_000];
/** What a stream says. */
const NAMES = ["hello", "record", "part", "live", "reload", "gone", "caught-up"];
/** Messages that wait for what was missed before them. Of more, all are asked for again. */
const WAITING_MAX = 10_000;

const nameOf = (run) => `edvac-run-${run}`;
const canShare = () => Boolean(navigator.locks) && "BroadcastChannel" in window;

/** The stream from a record on, asked for again where the server refused it. Gives what ends it. */
function source(run, after, hear, state) {
  let events;
  let timer;
  let retry = RETRY_MS[0];
  function open() {
    events = new EventSource(`/api/runs/${run}/events?after=${after()}`);
    for (const name of NAMES) events.addEventListener(name, (event) => hear(name, event.data));
    events.addEventListener("caught-up", () => (retry = RETRY_MS[0]));
    events.addEventListener("error", () => {
      state("lost");
      if (events.readyState !== EventSource.CLOSED) return;
      // The browser gave up: the server refused, or is not there yet.
      timer = setTimeout(open, retry);
      retry = Math.min(retry * 2, RETRY_MS[1]);
    });
  }
  open();
  return () => {
    clearTimeout(timer);
    events.close();
  };
}

/**
 * Listens to a run. `after` gives the last record that the page shows, `hear` is told everything that comes, `state` whether the server
 * is there.
 */
export function listen(run, { after, hear, state }) {
  const own = (name, data) => hear(name, JSON.parse(data));
  let stop = () => {};
  if (!canShare()) {
    const begin = () => (stop = source(run, after, own, state));
    begin();
    return {
      close: () => stop(),
      leads: () => true,
      again: () => {
        stop();
        begin();
      },
    };
  }

  const channel = new BroadcastChannel(nameOf(run));
  const left = new AbortController();
  let leads = false;
  let closed = false;

  /** Holds the stream until this tab goes. */
  const lead = () =>
    new Promise((done) => {
      stop();
      leads = true;
      const tell = (name, data) => {
        channel.postMessage({ name, data });
        own(name, data);
      };
      const say = (word) => {
        channel.postMessage({ word });
        state(word);
      };
      let end = source(run, after, tell, say);
      stop = () => {
        end();
        done();
      };
      again = () => {
        end();
        end = source(run, after, tell, say);
      };
    });

  /** Hears what another tab passes on, once it knows what was before that. */
  function follow() {
    let waiting = [];
    let end = () => {};
    const take = ({ name, data, word }) => (word ? state(word) : own(name, data));
    again = () => {
      end();
      waiting = [];
      end = source(
        run,
        after,
        (name, data) => {
          own(name, data);
          if (name !== "caught-up") return;
          end();
          const all = waiting;
          waiting = undefined;
          all.forEach(take);
        },
        state,
      );
    };
    channel.onmessage = ({ data }) => {
      if (!waiting) take(data);
      else if (waiting.push(data) > WAITING_MAX) again();
    };
    stop = () => {
      end();
      channel.onmessage = null;
    };
    again();
  }

  let again = () => {};
  async function begin() {
    let isFree = false;
    await navigator.locks.request(nameOf(run), { ifAvailable: true }, (lock) => {
      isFree = Boolean(lock);
      return isFree && !closed ? lead() : undefined;
    });
    if (isFree || closed) return;
    follow();
    await navigator.locks.request(nameOf(run), { signal: left.signal }, () => (closed ? undefined : lead()));
  }
  // Only leaving ends the wait for the lock.
  begin().catch(() => {});
  return {
    close: () => {
      closed = true;
      leads = false;
      left.abort();
      stop();
      channel.close();
    },
    leads: () => leads,
    again: () => again(),
  };
}

/** Marks this tab as one that shows the run to somebody; gives what ends that. */
export function shows(run) {
  if (!navigator.locks) return () => {};
  let end;
  const held = new Promise((done) => (end = done));
  navigator.locks.request(`${nameOf(run)}-seen`, { mode: "shared" }, () => held);
  return end;
}

/** Whether any tab shows the run to somebody. */
export async function isShown(run) {
  if (!navigator.locks) return !document.hidden;
  const { held } = await navigator.locks.query();
  return held.some((lock) => lock.name === `${nameOf(run)}-seen`);
}
