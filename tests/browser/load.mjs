// Measures what watching costs: node load.mjs [clients], with EDVAC_TEST_BINARY. A run writes 200 tokens a second in a process
// of its own; first nobody watches it, then so many streams do. Prints a line of JSON for each.
import { readFileSync } from "node:fs";

import { makeHome } from "./edvac.mjs";

const clients = Number(process.argv[2] ?? 32);
const WORDS = 6000;

const resident = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
const cpu = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

/** Reads a stream to its end; gives the records and the reply that it heard. */
async function listen(address, token, heard) {
  const answer = await fetch(address, { headers: { authorization: `Bearer ${token}` } });
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of answer.body) {
    const events = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const field = (name) => event.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const data = JSON.parse(field("data") ?? "null");
      if (field("event") === "record") heard.seqs.push(data.seq);
      if (field("event") === "live" && !data.gone) {
        heard.replies[data.of] = data.whole ? data.text : (heard.replies[data.of] ?? "") + data.text;
      }
      if (data?.words?.startsWith("over;")) return;
    }
  }
}

async function measure(watchers) {
  const home = await makeHome();
  const text = Array.from({ length: WORDS }, (_, at) => (at % 12 === 11 ? `word${at}\n` : `word${at} `)).join("");
  home.model.pace = 5;
  home.model.extra = [{ when: ["Write the first note."], text: `@@ write a.txt\n${text}\n@@ end\n@@ done It is there.` }];
  const server = await home.serve();
  const token = readFileSync(`${home.dir}/state/server/token`, "utf8");
  const running = home.run(["--domain", "custom", "Two notes, each in a file of its own."]);
  let run;
  while (!run) {
    const answer = await fetch(`${server.url}/api/runs`, { headers: { authorization: `Bearer ${token}` } });
    // Once it has begun: before, its journal is being made.
    run = (await answer.json()).runs.find((row) => row.started_ms > 0)?.run;
  }
  const heard = Array.from({ length: watchers }, () => ({ seqs: [], replies: {} }));
  const listening = heard.map((one) => listen(`${server.url}/api/runs/${run}/events?after=0`, token, one));
  const before = { memory: resident(server.child.pid), cpu: cpu(server.child.pid) };
  let most = before.memory;
  const watching = setInterval(() => (most = Math.max(most, resident(server.child.pid))), 500);
  await running;
  await Promise.all(listening);
  clearInterval(watching);
  const logs = await home.edvac(["logs", run, "--json"]);
  const records = logs.out.trim().split("\n").map((line) => JSON.parse(line));
  const seqs = records.filter((record) => record.kind !== "intent").map((record) => record.seq);
  const all = (check) => heard.every(check);
  console.log(JSON.stringify({
    watchers,
    run_s: (records.at(-1).time_ms - records[0].time_ms) / 1000,
    every_record_once_in_order: all((one) => JSON.stringify(one.seqs) === JSON.stringify(seqs)),
    longest_reply_is_whole: all((one) => Object.values(one.replies).some((reply) => reply.includes(text))),
    server_mb_at_first: Math.round(before.memory),
    server_mb_at_most: Math.round(most),
    server_cpu_s: Math.round((cpu(server.child.pid) - before.cpu) * 10) / 10,
  }));
  await home.end();
}

for (let round = 0; round < 2; round++) {
  await measure(0);
  await measure(clients);
}
