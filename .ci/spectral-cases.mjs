// Proves that the ruleset bites: for each of its rules a document that is wrong in that one way.
//
//   node spectral-cases.mjs DIR              writes the documents into DIR, one a rule, and good.json
//   node spectral-cases.mjs DIR RULES FOUND  compares what Spectral found in them (its JSON) with what it should

import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const described = { description: "It is described." };
const noStore = { "cache-control": { ...described, schema: { type: "string" } } };
const schema = { $ref: "#/components/schemas/Thing" };
const json = { "application/json": { schema } };
const errors = {
  400: { ...described, content: json },
  500: { ...described, content: json },
};
const operation = (operationId, summary, responses) => ({
  operationId, summary, ...described, tags: ["things"], security: [], responses: { ...responses, ...errors },
});

// A document that nothing is wrong with.
const good = () => ({
  openapi: "3.1.0",
  info: {
    title: "Things", version: "1.0.0", ...described, "x-status": "stable",
    contact: { name: "Things", email: "things@example.com" },
  },
  servers: [{ url: "https://things.example.com" }],
  security: [{ key: [] }],
  tags: [{ name: "things", ...described }],
  paths: {
    "/health": { get: operation("getHealth", "Get the health.", { 200: { ...described, headers: noStore, content: json } }) },
    "/things": {
      get: operation("queryThings", "Query things.", { 200: { ...described, headers: noStore, content: json } }),
      post: operation("createThing", "Create a thing.", {
        201: { ...described, headers: { location: { ...described, schema: { type: "string" } } }, content: json },
      }),
    },
    "/things/{thingId}": {
      parameters: [{ name: "thingId", in: "path", required: true, ...described, schema: { type: "string" } }],
      patch: {
        ...operation("updateThing", "Update a thing.", { 200: { ...described, content: json } }),
        requestBody: { content: { "application/json-patch+json": { schema: { type: "array", items: { type: "object" } } } } },
      },
      delete: operation("deleteThing", "Delete a thing.", { 204: described }),
    },
  },
  components: {
    schemas: { Thing: { type: "object", ...described, properties: { someName: { type: "string", ...described } } } },
    securitySchemes: { key: { type: "apiKey", in: "header", name: "x-api-key" } },
  },
});

const things = (d) => d.paths["/things"];
const thing = (d) => d.paths["/things/{thingId}"];
const move = (d, from, to) => { d.paths[to] = d.paths[from]; delete d.paths[from]; };
const flow = (name) => (d) => {
  const addresses = { authorizationUrl: "https://a.example.com", tokenUrl: "https://a.example.com", scopes: {} };
  d.components.securitySchemes.oauth = { type: "oauth2", flows: { [name]: addresses } };
};

const cases = {
  "paths-kebab-case": (d) => move(d, "/things", "/someThings"),
  "paths-no-trailing-slash": (d) => move(d, "/things", "/things/"),
  "paths-no-extension": (d) => move(d, "/things", "/things.json"),
  "paths-no-version": (d) => move(d, "/things", "/v1/things"),
  "paths-health": (d) => move(d, "/health", "/status"),
  "operation-has-id": (d) => delete things(d).get.operationId,
  "operation-has-summary": (d) => delete things(d).get.summary,
  "operation-has-tags": (d) => { things(d).get.tags = []; },
  "operation-id-camel-case": (d) => { things(d).get.operationId = "query_things"; },
  "operation-summary-pattern": (d) => { things(d).get.summary = "Things, all of them."; },
  "operation-described": (d) => delete things(d).get.description,
  "operation-security": (d) => delete things(d).get.security,
  "get-no-body": (d) => { things(d).get.requestBody = { content: json }; },
  "delete-no-body": (d) => { thing(d).delete.requestBody = { content: json }; },
  "patch-json-patch": (d) => { thing(d).patch.requestBody.content = json; },
  "status-excluded": (d) => { things(d).get.responses[428] = errors[400]; },
  "status-4xx": (d) => delete things(d).get.responses[400],
  "status-5xx": (d) => delete things(d).get.responses[500],
  "post-status": (d) => { things(d).post.responses = { 204: described, ...errors }; },
  "delete-status": (d) => { thing(d).delete.responses = { 200: { ...described, content: json }, ...errors }; },
  "created-location": (d) => delete things(d).post.responses[201].headers,
  "get-cache-control": (d) => delete things(d).get.responses[200].headers,
  "error-json": (d) => { things(d).get.responses[404] = { ...described, content: { "text/plain": {} } }; },
  "answer-described": (d) => delete things(d).get.responses[200].headers["cache-control"].description,
  "no-float": (d) => { d.components.schemas.Thing.properties.price = { type: "number", format: "double", ...described }; },
  "schema-pascal-case": (d) => { d.components.schemas.other_thing = { type: "object", ...described }; },
  "property-camel-case": (d) => { d.components.schemas.Thing.properties.some_name = { type: "string", ...described }; },
  "schema-described": (d) => delete d.components.schemas.Thing.description,
  "property-described": (d) => delete d.components.schemas.Thing.properties.someName.description,
  "info-described": (d) => delete d.info.description,
  "info-contacts": (d) => delete d.info.contact.email,
  "info-status": (d) => { d.info["x-status"] = "fine"; },
  "servers-https": (d) => { d.servers[0].url = "http://things.example.com"; },
  "global-security": (d) => delete d.security,
  "security-no-key-in-query": (d) => { d.components.securitySchemes.key.in = "query"; },
  "security-no-basic": (d) => { d.components.securitySchemes.basic = { type: "http", scheme: "basic" }; },
  "security-no-implicit": flow("implicit"),
  "security-no-password": flow("password"),
};

const [dir, rules, found] = process.argv.slice(2);
if (rules === undefined) {
  writeFileSync(join(dir, "good.json"), JSON.stringify(good()));
  for (const [rule, spoil] of Object.entries(cases)) {
    const document = structuredClone(good());
    spoil(document);
    writeFileSync(join(dir, `${rule}.json`), JSON.stringify(document));
  }
} else {
  const hits = JSON.parse(readFileSync(found, "utf8"));
  const codes = (name) => hits.filter((hit) => basename(hit.source) === `${name}.json`).map((hit) => hit.code);
  const wrong = codes("good").map((code) => `${code} finds something in a good document`);
  const text = readFileSync(rules, "utf8");
  const known = [...text.matchAll(/^ {2}([a-z0-9-]+):$/gm)].map((match) => match[1]);
  for (const rule of known) {
    if (!(rule in cases)) wrong.push(`${rule} has no case`);
    else if (!codes(rule).includes(rule)) wrong.push(`${rule} does not find what it is for`);
  }
  for (const rule of Object.keys(cases)) {
    if (!known.includes(rule)) wrong.push(`${rule} is no rule`);
  }
  wrong.forEach((line) => console.error(line));
  console.log(`${known.length - wrong.length} of ${known.length} rules find what they are for`);
  process.exit(wrong.length > 0 ? 1 : 0);
}
