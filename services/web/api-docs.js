// The API page: draws the OpenAPI document, first the operations by tag, then the schemas that they name.

import { Problem, element, find, request, sentence, showProblem } from "./site.js";

async function drawAPI() {
  const place = find("#operations");
  let api;
  try {
    api = await request("GET", "/api/openapi.json");
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    showProblem(find("#operations-problem"), error);
    return;
  } finally {
    place.ariaBusy = "false";
  }
  find("#about").textContent = api.info.description ?? "";
  const groups = new Map((api.tags ?? []).map(({ name, description }) => [name, { description, operations: [] }]));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of ["get", "post", "put", "patch", "delete"]) {
      if (!methods[method]) continue;
      const operation = { parameters: [], ...methods[method], method: method.toUpperCase(), path };
      operation.parameters = [...(methods.parameters ?? []), ...operation.parameters];
      operation.id = `${method}${path}`.replace(/[^\w]+/g, "-");
      const tag = operation.tags?.[0] ?? "Operations";
      if (!groups.has(tag)) groups.set(tag, { operations: [] });
      groups.get(tag).operations.push(operation);
    }
  }
  const used = [...groups].filter(([, { operations }]) => operations.length).sort(([a], [b]) => a.localeCompare(b));
  const sections = used.map(([name, { description, operations }]) =>
    element("section", {}, element("h2", {}, name), element("p", {}, description ?? ""), ...operations.map(drawOperation)));
  const schemas = Object.entries(api.components?.schemas ?? {}).map(([name, schema]) =>
    element("article", { class: "operation", id: `schema-${name}` }, element("h3", {}, element("code", {}, name)), drawSchema(schema)));
  place.replaceChildren(...sections, element("section", {}, element("h2", {}, "Schemas"), ...schemas));
  find("#contents").replaceChildren(...used.flatMap(([, { operations }]) => operations).map(({ id, method, path }) =>
    element("li", {}, element("a", { href: `#${id}` }, element("b", {}, method), " ", path.replace("/api/v1", "")))));
  if (location.hash) find(`[id="${CSS.escape(location.hash.slice(1))}"]`)?.scrollIntoView();
}

function drawOperation({ id, method, path, summary, description, parameters, requestBody, responses, security }) {
  const part = (title, terms) => (terms.length ? [element("h4", {}, title), element("dl", { class: "terms" }, ...terms)] : []);
  const bodies = Object.entries(requestBody?.content ?? {});
  return element("article", { class: "operation", id },
    element("h3", {}, element("span", { class: "method" }, method), " ", element("code", {}, path)),
    element("p", {}, [summary, description, security?.length ? "Needs a session." : ""].filter(Boolean).map((text) => sentence("", text)).join(" ")),
    ...part("Parameters", parameters.map(({ name, in: where, required, description: text, schema }) =>
      drawTerm(name, [`${where}, `, ...drawType(schema ?? {})], required, text ?? schema?.description))),
    ...(bodies.length ? [element("h4", {}, "Body"), ...bodies.flatMap(([type, { schema }]) =>
      [element("p", { class: "type" }, `${type}: `, ...drawType(schema ?? {})), ...drawInside(schema)])] : []),
    ...part("Answers", drawAnswers(responses ?? {})));
}

/** Draws an operation's answers, and groups those that differ only in their status, as errors do. */
function drawAnswers(responses) {
  const alike = new Map();
  for (const [status, { description, content = {}, headers = {} }] of Object.entries(responses)) {
    const key = JSON.stringify([content, headers]);
    if (!alike.has(key)) alike.set(key, { content, headers, statuses: [], texts: [] });
    alike.get(key).statuses.push(status === "default" ? "other" : status);
    if (description) alike.get(key).texts.push(description);
  }
  return [...alike.values()].map(({ content, headers, statuses, texts }) => {
    const types = Object.entries(content).flatMap(([type, { schema }]) => [`${type}: `, ...drawType(schema ?? {})]);
    const fields = Object.keys(headers).map((name) => `With the header ${name}.`);
    return drawTerm(statuses.join(", "), types, false, [sentence("", texts.join(", ") || "An answer"), ...fields].join(" "));
  });
}

/** Draws an entry of a list: a name, its type, and a note about it. */
function drawTerm(name, type, required, text, ...inside) {
  return element("div", {}, element("dt", {}, element("code", {}, name), required ? element("span", { class: "required" }, " required") : ""),
    element("dd", {}, element("p", { class: "type" }, ...type), ...(text ? [element("p", {}, text)] : []), ...inside));
}

/** Says in words what a schema allows, with links to named schemas. */
function drawType(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    return [element("a", { href: `#schema-${name}` }, name)];
  }
  const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (choices) return choices.flatMap((choice, i) => [...(i ? [schema.allOf ? " and " : " or "] : []), ...drawType(choice)]);
  if (schema.enum) return [`one of ${schema.enum.map((value) => JSON.stringify(value)).join(", ")}`];
  const types = [schema.type ?? "anything"].flat();
  const words = [types.join(" or ")];
  if (types.includes("array")) words.push(" of ", ...drawType(schema.items ?? {}));
  const range = (low, high, unit) => {
    if (low === undefined && high === undefined) return;
    words.push(`, ${low === undefined ? "at most" : high === undefined ? "at least" : `${low} to`} ${high ?? low}${unit}`);
  };
  if (schema.format) words.push(` (${schema.format})`);
  range(schema.minLength, schema.maxLength, " characters");
  range(schema.minimum, schema.maximum, "");
  range(schema.minItems, schema.maxItems, " items");
  if (schema.pattern) words.push(", matching ", element("code", {}, schema.pattern));
  for (const name of ["default", "const"]) if (schema[name] !== undefined) words.push(`, ${name} ${JSON.stringify(schema[name])}`);
  const example = schema.examples?.[0] ?? schema.example;
  if (example !== undefined) words.push(", such as ", element("code", {}, JSON.stringify(example)));
  return words;
}

/** Draws the members of an object that is described in place, or those of an array's items. */
function drawInside(schema) {
  if (schema?.items) return drawInside(schema.items);
  if (!schema?.properties) return [];
  return [element("dl", { class: "terms" }, ...Object.entries(schema.properties).map(([name, member]) =>
    drawTerm(name, drawType(member), schema.required?.includes(name), member.description, ...drawInside(member))))];
}

function drawSchema(schema) {
  const text = schema.description ? [element("p", {}, schema.description)] : [];
  return element("div", {}, ...text, ...(schema.properties ? drawInside(schema) : [element("p", { class: "type" }, ...drawType(schema))]));
}

drawAPI();
