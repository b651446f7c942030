// An OpenAI-compatible endpoint that says what a script has for a prompt, a word at a time and at a pace that tests choose.
import { createServer } from "node:http";

/** Replies, the first whose words are all in the prompt. */
const SCRIPT = [
  {
    when: ["You write the plan of a project"],
    text: [
      "TITLE: Two notes",
      "REQUIREMENT R1: There is a first note.",
      "REQUIREMENT R2: There is a second note.",
      "STEP 1: The first note",
      "WRITES: a.txt",
      "READS: -",
      "COVERS: R1",
      "DO: Write the first note.",
      "STEP 2: The second note",
      "WRITES: b.txt",
      "READS: a.txt",
      "COVERS: R2",
      "DO: Write the second note.",
      "STEP 3: Both",
      "WRITES: both.txt",
      "READS: a.txt, b.txt",
      "COVERS: -",
      "DO: Write both notes into one file.",
      "END",
    ].join("\n"),
  },
  { when: ["Write the first note."], text: "@@ write a.txt\none\nof two\n@@ end\n@@ done It is there." },
  { when: ["Write the second note."], text: "@@ write b.txt\ntwo\n@@ end\n@@ done It is there." },
  { when: ["Write both notes into one file."], text: "@@ write both.txt\none\nof two\ntwo\n@@ end\n@@ done They are there." },
  { when: ["Write the changed note."], text: "@@ write b.txt\nchanged\n@@ end\n@@ done It is changed." },
];

/** Starts it; `pace` has the milliseconds between two words, `extra` replies that come before the script's. */
export async function startModel() {
  const model = { pace: 5, extra: [], requests: [] };
  const server = createServer(async (request, response) => {
    if (request.method === "GET") {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ object: "list", data: [{ id: "fake", object: "model" }] }));
      return;
    }
    let body = "";
    for await (const piece of request) body += piece;
    const { messages } = JSON.parse(body);
    const prompt = messages.map((message) => message.content).join("\n");
    model.requests.push(prompt);
    const found = [...model.extra, ...SCRIPT].find((reply) => reply.when.every((words) => prompt.includes(words)));
    const text = found ? found.text : "@@ done Nothing is known of that.";
    response.writeHead(200, { "content-type": "text/event-stream" });
    const chunk = (delta, finish = null, usage = null) => {
      const choices = usage ? [] : [{ index: 0, delta, finish_reason: finish }];
      const said = { id: "c", object: "chat.completion.chunk", created: 1, model: "fake", choices, usage };
      response.write(`data: ${JSON.stringify(said)}\n\n`);
    };
    const words = text.match(/\s*\S+/g);
    for (const word of words) {
      chunk({ role: "assistant", content: word });
      await new Promise((go) => setTimeout(go, model.pace));
      if (response.destroyed) return;
    }
    chunk({}, "stop");
    chunk({}, null, { prompt_tokens: 900, completion_tokens: words.length, total_tokens: 900 + words.length });
    response.end("data: [DONE]\n\n");
  });
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  model.url = `http://127.0.0.1:${server.address().port}/v1`;
  model.stop = () => {
    server.closeAllConnections();
    return new Promise((done) => server.close(done));
  };
  return model;
}
