// Lives through a file with the official openai SDK for Node and prints what it saw.
// node files.mjs BASE_URL API_KEY ACCOUNT FILE, in a directory where the package `openai` is installed
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.cwd(), "package.json"));
const OpenAI = require("openai").default;
const [baseURL, apiKey, account, file] = process.argv.slice(2);
const client = new OpenAI({
  baseURL,
  apiKey,
  maxRetries: 0,
  defaultHeaders: { "x-tfy-provider-name": account },
});

const created = await client.files.create({
  file: fs.createReadStream(file),
  purpose: "batch",
  expires_after: { anchor: "created_at", seconds: 3600 },
});
const retrieved = await client.files.retrieve(created.id);
const processed = await client.files.waitForProcessing(created.id);
const content = await (await client.files.content(created.id)).text();
const listed = [];
for await (const each of client.files.list({ limit: 1, purpose: "batch" })) listed.push(each.id);
const deleted = await client.files.delete(created.id);
const error = await client.files.retrieve(created.id).catch((e) => ({ name: e.constructor.name, status: e.status, param: e.param }));
console.log(JSON.stringify({ created, retrieved, processed, length: content.length, listed, deleted, error }));
