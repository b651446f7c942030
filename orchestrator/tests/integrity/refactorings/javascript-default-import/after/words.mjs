export function slugify(text) {
  return text.trim().toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
}

export class Counter {
  #counts = new Map();

  add(word) {
    if (!word) throw new TypeError('a word must not be empty');
    this.#counts.set(word, (this.#counts.get(word) ?? 0) + 1);
    return this.#counts.get(word);
  }

  top(n) {
    return [...this.#counts].sort((a, b) => b[1] - a[1]).slice(0, n).map(([word]) => word);
  }
}

export async function load(read) {
  const text = await read();
  return JSON.parse(text);
}
