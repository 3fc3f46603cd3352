// Uploads with Node's own fetch and FormData what a page would, and prints what was answered.
// node fetch.mjs BASE_URL API_KEY ACCOUNT
const [baseURL, apiKey, account] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${apiKey}`, "x-tfy-provider-name": account };

async function upload(file, ...name) {
  const form = new FormData();
  form.append("purpose", "user_data");
  form.append("file", file, ...name);
  const answer = await fetch(`${baseURL}/files`, { method: "POST", headers, body: form });
  return { status: answer.status, ...(await answer.json()) };
}

const texts = [];
for (const text of [String({}), String(undefined), "/home/me/data.jsonl"]) texts.push(await upload(text));
const named = await upload(new File(["ü"], '测"试.txt', { type: "text/plain;charset=utf-8" }));
const blob = await upload(new Blob(["x"]));
const content = await fetch(`${baseURL}/files/${named.id}/content`, { headers });
const part = await fetch(`${baseURL}/files/${named.id}/content`, { headers: { ...headers, Range: "bytes=1-" } });
console.log(JSON.stringify({
  texts, named, blob,
  type: content.headers.get("content-type"), ranges: content.headers.get("accept-ranges"), text: await content.text(),
  part: { status: part.status, bytes: [...new Uint8Array(await part.arrayBuffer())] },
}));
