// A client that believes the API's description: it asks for operations by their ids, and holds every answer against its schema.
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const NAMED = "#/components/schemas/";
/** What makes an object of a schema, directly or by what it refers to. */
const OBJECTS = ["$ref", "properties", "allOf", "anyOf", "oneOf"];

/** The same schema, by which an object has no field that is not named. Parts of one object are closed together, not one by one. */
const closed = (schema) =>
  OBJECTS.some((key) => key in schema) ? { ...inside(schema), unevaluatedProperties: false } : inside(schema);

/** The same of what is within a schema. */
function inside(schema) {
  const known = { ...schema };
  if (known.$ref) known.$ref = known.$ref.replace(NAMED, "#/$defs/");
  for (const key of ["allOf", "anyOf", "oneOf"]) if (known[key]) known[key] = known[key].map(inside);
  for (const key of ["items", "additionalProperties"]) {
    if (known[key] && typeof known[key] === "object") known[key] = closed(known[key]);
  }
  if (known.properties) known.properties = each(known.properties, closed);
  return known;
}

const each = (object, change) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]));

/** The operations of a server, by their ids. */
export class Client {
  constructor(url, token, description) {
    Object.assign(this, { url, token, description, answered: new Set(), checks: new Map() });
    this.operations = new Map();
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        this.operations.set(operation.operationId, { ...operation, path, method: method.toUpperCase() });
      }
    }
    this.ajv = addFormats(new Ajv2020({ allErrors: true, allowUnionTypes: true, strictTypes: false }));
    this.named = each(description.components.schemas, inside);
  }

  /** What is wrong with a value by a schema of the description; nothing where it is right. */
  faults(schema, value) {
    const key = JSON.stringify(schema);
    if (!this.checks.has(key)) this.checks.set(key, this.ajv.compile({ $defs: this.named, ...closed(schema) }));
    const check = this.checks.get(key);
    const fault = ({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`;
    return check(value) ? [] : check.errors.map(fault);
  }

  /** The address of an operation: what is not told in its path is its query. */
  address(id, values) {
    const { path, parameters = [] } = this.operations.get(id);
    const left = { ...values };
    const filled = path.replace(/\{(\w+)\}/g, (_, name) => {
      const value = left[name];
      delete left[name];
      return encodeURIComponent(value);
    });
    const known = parameters.filter((parameter) => parameter.in === "query").map((parameter) => parameter.name);
    const unknown = Object.keys(left).filter((name) => !known.includes(name));
    if (unknown.length) throw new Error(`${id} has no parameter ${unknown}`);
    const query = new URLSearchParams(left).toString();
    return this.url + filled + (query && `?${query}`);
  }

  async send(id, values = {}, { body, headers = {}, signal } = {}) {
    const { method } = this.operations.get(id);
    const own = { authorization: `Bearer ${this.token}`, ...headers };
    if (body !== undefined) own["content-type"] ??= "application/json";
    return fetch(this.address(id, values), {
      method, headers: own, signal, body: typeof body === "object" ? JSON.stringify(body) : body,
    });
  }

  /** Asks, and throws where the answer has another status, or is not as the description says. */
  async ask(id, values = {}, { status = 200, ...more } = {}) {
    const operation = this.operations.get(id);
    if (status === 200 && more.body) {
      this.right(`${id}: the body`, operation.requestBody.content["application/json"].schema, more.body);
    }
    const answer = await this.send(id, values, more);
    const text = await answer.text();
    if (answer.status !== status) throw new Error(`${id}: ${answer.status} instead of ${status}: ${text}`);
    const said = operation.responses[status];
    if (!said) throw new Error(`${id}: the description knows no ${status}`);
    const media = answer.headers.get("content-type");
    const content = said.content[media];
    if (!content) throw new Error(`${id}: ${media} is not described`);
    const value = media === "application/json" ? JSON.parse(text) : text;
    this.right(`${id}: the answer`, content.schema, value);
    if (status === 200) this.answered.add(id);
    return value;
  }

  right(what, schema, value) {
    const faults = this.faults(schema, value);
    if (faults.length) throw new Error(`${what} is not as described: ${faults.join("; ")}`);
  }

  /** Follows a stream until `enough` of its messages came, and gives them. */
  async follow(values, enough) {
    const { responses } = this.operations.get("followRun");
    const end = new AbortController();
    const answer = await this.send("followRun", values, { signal: end.signal });
    const media = answer.headers.get("content-type");
    const { schema } = responses[answer.status].content[media];
    const messages = [];
    let rest = "";
    for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + piece).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const line = (name) => block.match(new RegExp(`^${name}: (.*)$`, "m"))?.[1];
        // A sign of life is a comment.
        if (!line("event")) continue;
        const message = { event: line("event"), data: JSON.parse(line("data")) };
        this.right(`a message ${block}`, schema, message);
        messages.push(message);
      }
      if (enough(messages)) {
        end.abort();
        this.answered.add("followRun");
        return messages;
      }
    }
    throw new Error("the stream ended");
  }
}
