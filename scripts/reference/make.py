"""Makes the reference values that runtime/tests/reference.rs compares with, by llama.cpp on the same file.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install xllamacpp==2026.10.11549
    /tmp/venv/bin/python scripts/reference/make.py MODELS_DIR smollm2-135m qwen2.5-coder-0.5b

For each prompt: its token ids, the ids that greedy decoding gives, and the five most likely tokens with their
log-probabilities at each of these positions. KV in f16, no prompt cache, one sequence.
"""

import hashlib
import json
import pathlib
import sys
import urllib.request

import xllamacpp

TOKENS = 12
TOP = 5
OUT = pathlib.Path(__file__).parents[2] / "runtime" / "tests" / "reference"
PROMPTS = [
    "The capital of France is",
    "def add(a, b):\n    return",
    "Once upon a time there was a",
    "1, 2, 3, 4, 5,",
    "The quick brown fox jumps over the lazy",
    "import os\nimport sys\n\ndef main():\n",
    "Water boils at a temperature of",
    "Dear Sir or Madam,\n\nI am writing to",
    "fn main() {\n    println!(",
    "Q: What is 12 times 12?\nA:",
    "Die Hauptstadt von Deutschland ist",
    "La capitale de l'Italie est",
    "<html>\n<head>\n<title>",
    "SELECT name, age FROM users WHERE",
    "The three laws of motion were formulated by",
    "class Stack:\n    def __init__(self):\n        self.items = []\n\n    def push(self, item):\n",
    "Ingredients:\n- 2 eggs\n- 200 g flour\n-",
    "    \t  leading white space and a tab",
    "naïve café, 東京, Привет, 🙂 and",
    "In 1969, the first humans landed on the",
    "{\"name\": \"Ada\", \"age\": 36, \"languages\": [",
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it was",
    "for (let i = 0; i < 10; i++) {\n  console.log(",
    "To be, or not to be, that is the",
]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(models, name):
    path = pathlib.Path(models) / f"{name}.gguf"
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.warmup = 1024, 1, False
    params.cpuparams.n_threads = 2
    params.hostnames, params.port = ["127.0.0.1"], 0
    server = xllamacpp.Server(params)
    cases = []
    for text in PROMPTS:
        ids = post(f"{server.listening_address}/tokenize", {"content": text, "add_special": False})["tokens"]
        reply = post(
            f"{server.listening_address}/completion",
            {"prompt": ids, "n_predict": TOKENS, "temperature": 0, "n_probs": TOP, "cache_prompt": False,
             "ignore_eos": False, "return_tokens": True},
        )
        steps = [
            {"id": s["id"], "top": [[t["id"], round(t["logprob"], 5)] for t in s["top_logprobs"]]}
            for s in reply["completion_probabilities"]
        ]
        # A token that ends within a character is told later, together with the next: what follows is left out.
        told = [s["id"] for s in steps]
        same = next((n for n, (a, b) in enumerate(zip(told, reply["tokens"])) if a != b), min(len(told), len(reply["tokens"])))
        steps = steps[:same]
        cases.append({"text": text, "ids": ids, "steps": steps})
    OUT.mkdir(exist_ok=True)
    made = {
        "made_by": "scripts/reference/make.py, which says how",
        "engine": f"llama.cpp through xllamacpp {xllamacpp.__version__}",
        "model": name,
        "sha256": sha256(path),
        "cases": cases,
    }
    (OUT / f"{name}.json").write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(name, len(cases), "prompts")


for model in sys.argv[2:]:
    make(sys.argv[1], model)
