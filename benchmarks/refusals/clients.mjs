// Sends the same upload again and again, and prints how often it ended how: {"401": 200}.
// node clients.mjs CLIENT BASE_URL KEY PURPOSE BYTES TRIES; `openai-node` and `undici` where their packages are
import path from "node:path";
import { createRequire } from "node:module";

const require = createRequire(path.join(process.cwd(), "package.json"));
const [name, baseURL, apiKey, purpose, bytes, tries] = process.argv.slice(2);
const content = new Uint8Array(Number(bytes));
const url = `${baseURL}/files`;
const authorization = `Bearer ${apiKey}`;

const form = (kinds) => {
  const made = new kinds.FormData();
  made.append("purpose", purpose);
  made.append("file", new kinds.File([content], "a.bin"));
  return made;
};
const CLIENTS = {
  "openai-node": async () => {
    const { default: OpenAI } = require("openai");
    const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
    const file = new File([content], "a.bin");
    return client.files.create({ file, purpose }).then(() => 200, (error) => error.status ?? error.constructor.name);
  },
  fetch: async () => {
    const answer = await fetch(url, { method: "POST", body: form(globalThis), headers: { authorization } });
    await answer.json();
    return answer.status;
  },
  undici: async () => {
    const undici = require("undici");
    const body = form({ FormData: undici.FormData, File });
    const answer = await undici.request(url, { method: "POST", body, headers: { authorization } });
    await answer.body.json();
    return answer.statusCode;
  },
};

const outcomes = {};
for (let n = 0; n < Number(tries); n++) {
  const outcome = await CLIENTS[name]().catch((error) => error.cause?.code ?? error.code ?? error.name);
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
}
console.log(JSON.stringify(outcomes));
process.exit(0); // kept connections would hold it up
