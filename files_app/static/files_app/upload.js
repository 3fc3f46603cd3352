// The upload page. What can be known before is checked before; one file goes after the other.
"use strict";

// The theme's script writes a chosen file's name into a field beside the input, and fails where there is none.
document.querySelectorAll("[data-upload] input[type=file]").forEach((input) => { input.hasChangeListener = true; });

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("[data-upload]").forEach(uploadPage));

function uploadPage(form) {
    const targets = JSON.parse(document.getElementById("upload-targets").textContent);
    const field = (name) => document.getElementById(`upload-${name}`);
    const target = () => targets.find((one) => String(one.id) === field("organization").value);
    const account = () => target().accounts.find((one) => one.name === field("account").value);
    const options = (select, values) => select.replaceChildren(...values.map(([value, text]) => new Option(text, value)));
    const transfers = transferList(form, field);

    const showPurposes = () => {
        const before = field("purpose").value || "user_data";
        const purposes = account() ? account().purposes : [];
        options(field("purpose"), purposes.map((purpose) => [purpose.name, purpose.name]));
        if (purposes.some((purpose) => purpose.name === before)) field("purpose").value = before;
        showBatch();
    };
    const showBatch = () => { field("batch").hidden = field("purpose").value !== "batch"; };
    const showAccounts = () => {
        const accounts = target().accounts;
        options(field("account"), accounts.map((one) => [one.name, `${one.name} (${one.driver})`]));
        const chosen = accounts.find((one) => one.is_default);
        if (chosen) field("account").value = chosen.name;
        field("room").textContent = accounts.length
            ? `${readable(target().free_bytes)} free; at most ${readable(target().max_bytes)} a file.`
            : "This organization has no account that takes uploads.";
        showPurposes();
    };
    const add = (files) => {
        const chosen = { target: target(), account: account(), purpose: field("purpose").value };
        const purpose = chosen.account && chosen.account.purposes.find((one) => one.name === chosen.purpose);
        const parameters = {
            organization: field("organization").value, account: field("account").value,
            purpose: chosen.purpose, expires_after_seconds: field("expiry").value,
            model: chosen.purpose === "batch" ? field("model").value : "", validate_only: field("check").checked,
        };
        for (const file of files) {
            transfers.add({ file, target: chosen.target, purpose, parameters: { ...parameters, filename: file.name } });
        }
        transfers.next();
    };

    options(field("organization"), targets.map((one) => [one.id, one.name]));
    const first = targets.find((one) => String(one.id) === form.dataset.chosen) || targets.find((one) => one.accounts.length);
    if (first) field("organization").value = first.id;
    field("organization").addEventListener("change", showAccounts);
    field("account").addEventListener("change", showPurposes);
    field("purpose").addEventListener("change", showBatch);
    field("files").addEventListener("change", (event) => { add([...event.target.files]); event.target.value = ""; });
    const drop = field("drop");
    ["dragenter", "dragover"].forEach((name) => drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("is-over");
    }));
    ["dragleave", "drop"].forEach((name) => drop.addEventListener(name, () => drop.classList.remove("is-over")));
    drop.addEventListener("drop", (event) => { event.preventDefault(); add([...event.dataTransfer.files]); });
    showAccounts();
}

/** What was chosen: waiting, sending, done, failed or cancelled. `next` sends what waits. */
function transferList(form, field) {
    const all = [];
    const inState = (...states) => all.filter((one) => states.includes(one.state));
    let isHeld = false;  // signed out: nothing goes before somebody has signed in

    const show = () => {
        const done = inState("done").length, failed = inState("failed").length, open = inState("waiting", "sending").length;
        const stopped = inState("cancelled").length;
        const [sent, total] = ["sent", "size"].map((name) => all.reduce((sum, one) => sum + one[name], 0));
        field("summary").hidden = !all.length;
        field("count").textContent = [
            `${done} of ${all.length} done`, failed && `${failed} failed`, stopped && `${stopped} cancelled`,
        ].filter(Boolean).join(", ");
        field("bytes").textContent = `${readable(sent)} of ${readable(total)}`;
        field("total").value = total ? 100 * sent / total : 100 * (all.length - open) / (all.length || 1);
        field("cancel").hidden = open < 2;
        field("retry").hidden = !failed || isHeld;
        field("retry").textContent = `Retry ${failed} failed`;
        field("clear").hidden = !done;
    };
    const set = (one, state, text) => {
        one.state = state;
        one.row.className = `fg-transfer${{ done: " is-done", failed: " is-bad", cancelled: " is-off" }[state] || ""}`;
        one.note.textContent = text;
        if (state === "failed") one.row.parentElement.prepend(one.row);  // what needs somebody comes first
        one.cancel.hidden = !["waiting", "sending"].includes(state);
        one.retry.hidden = !["failed", "cancelled"].includes(state);
        if (state !== "sending") { one.sent = state === "waiting" ? 0 : one.size; one.progress.value = state === "waiting" ? 0 : 100; }
        show();
    };
    const hold = (one) => {
        isHeld = true;
        field("signed-out").hidden = false;
        set(one, "waiting", "waiting until you have signed in");
    };
    const next = async () => {
        const one = inState("waiting")[0];
        if (isHeld || !one || inState("sending").length) return;
        set(one, "sending", "sending");
        const answer = await send(form, one, show);
        if (answer.state === "signed out") hold(one);
        else if (one.state === "sending") {
            set(one, answer.state, answer.text || "");
            if (answer.shown) answer.shown(one);
        }
        next();
    };
    const add = (one) => {
        one.size = one.file.size;
        one.sent = 0;
        Object.assign(one, transferRow(one.file));
        one.cancel.addEventListener("click", () => {
            const wasSending = one.state === "sending";
            const mayBeStored = wasSending && one.size && one.sent >= one.size;
            set(one, "cancelled", mayBeStored ? "cancelled after its last byte: look into Files" : "cancelled; nothing was stored");
            if (wasSending && one.request) one.request.abort();
        });
        one.retry.addEventListener("click", () => { set(one, "waiting", "waiting"); next(); });
        field("transfers").append(one.row);
        const waiting = inState("waiting", "sending").filter((other) => other.target === one.target);
        all.push(one);
        const refusal = refusalOf(one, waiting.reduce((sum, other) => sum + other.size, 0));
        set(one, refusal ? "failed" : "waiting", refusal || "waiting");
    };

    field("cancel").addEventListener("click", () => inState("waiting", "sending").forEach((one) => one.cancel.click()));
    field("retry").addEventListener("click", () => { inState("failed").forEach((one) => set(one, "waiting", "waiting")); next(); });
    field("clear").addEventListener("click", () => {
        inState("done").forEach((one) => { one.row.remove(); all.splice(all.indexOf(one), 1); });
        show();
    });
    field("go-on").addEventListener("click", async () => {
        if (!await renewToken(form)) return;
        isHeld = false;
        field("signed-out").hidden = true;
        next();
    });
    window.addEventListener("beforeunload", (event) => {
        if (inState("waiting", "sending").length) event.preventDefault();
    });
    return { add, next };
}

/** Why a file cannot be taken, as far as the page knows; empty where it may. The gateway decides again. */
function refusalOf({ file, target, purpose, parameters }, waitingBytes) {
    if (!purpose) return "This account takes no files of this purpose.";
    const name = file.name.toLowerCase();
    const most = Math.min(target.max_bytes, purpose.max_bytes ?? Infinity);
    if (purpose.extensions.length && !purpose.extensions.some((end) => name.endsWith(end))) {
        return `A file of purpose '${purpose.name}' needs a name that ends in ${purpose.extensions.join(" or ")}.`;
    }
    if (file.size > most) return `${readable(file.size)} is more than the ${readable(most)} that a file may have here.`;
    const free = target.free_bytes - waitingBytes;
    if (file.size > free && !parameters.validate_only) {
        return `${readable(file.size)} does not fit: ${target.name} has ${readable(Math.max(0, free))} free.`;
    }
    return "";
}

function transferRow(file) {
    const button = (text, label) => element("button", { type: "button", className: "fg-button fg-button-small", ariaLabel: `${label} ${file.name}` }, text);
    const cancel = button("Cancel", "Cancel the upload of"), retry = button("Retry", "Retry the upload of");
    const note = element("p", {}), progress = element("progress", { max: 100, value: 0, ariaLabel: `Upload of ${file.name}` });
    const row = element("li", { className: "fg-transfer" },
        element("strong", { dir: "auto" }, file.name),
        element("span", { className: "fg-transfer-side" },
            element("span", { className: "fg-muted fg-number" }, readable(file.size)), cancel, retry),
        progress, note);
    return { row, cancel, retry, note, progress };
}

/** XMLHttpRequest, because fetch does not tell how much of a body has gone. */
function send(form, one, onProgress) {
    return new Promise((resolve) => {
        const request = one.request = new XMLHttpRequest();
        const failed = (text) => resolve({ state: "failed", text });
        request.open("PUT", `${form.dataset.upload}?${new URLSearchParams(one.parameters)}`);
        request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
        request.setRequestHeader("Content-Type", one.file.type || "application/octet-stream");
        request.upload.addEventListener("progress", (event) => {
            one.progress.value = 100 * event.loaded / (event.total || 1);
            one.sent = event.loaded;
            one.note.textContent = event.loaded < event.total
                ? `${readable(event.loaded)} of ${readable(event.total)}` : "sent; the provider has to confirm";
            onProgress();
        });
        request.addEventListener("abort", () => resolve({ state: "cancelled" }));
        request.addEventListener("error", () => failed("The connection broke, or the gateway refused before the end. Retry it."));
        request.addEventListener("load", () => {
            let answer = {};
            try { answer = JSON.parse(request.responseText); } catch { /* a page instead of an answer */ }
            const isStale = request.status === 403 && !answer.error;  // the token is of the session before
            if (request.status === 401 || isStale) return resolve({ state: "signed out" });
            if (request.status !== 200) return failed(answer.error || `The gateway answered ${request.status}.`);
            if (!answer.id) return resolve({ state: "done", shown: () => showCheck(one.row, one.note, answer) });
            const link = element("a", { href: answer.link }, answer.id);
            return resolve({ state: "done", shown: () => one.note.replaceChildren("stored as ", link) });
        });
        request.send(one.file);
    });
}

/** Take the token of the session that somebody has signed in to meanwhile; false while nobody has. */
async function renewToken(form) {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer || !answer.ok || wasSignedOut(answer)) return false;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = fresh.querySelector("[data-upload] [name=csrfmiddlewaretoken]");
    if (token) form.querySelector("[name=csrfmiddlewaretoken]").value = token.value;
    return Boolean(token);
}

/** What an upload would become. Its lines are somebody's: they stay text. */
function showCheck(row, note, answer) {
    const facts = [`checked: ${answer.provider} would take it, and nothing was stored`];
    if (answer.batch) {
        const { records, model, format, bytes, ignored, warnings } = answer.batch;
        facts.push(`${records} records${model ? ` for ${model}` : ""} as ${format}, ${readable(bytes)}`);
        if (ignored.length) facts.push(`left out: ${ignored.join(", ")}`);
        facts.push(...warnings);
    }
    note.textContent = facts.join("; ");
    if (answer.sample && answer.sample.length) row.append(element("pre", {}, answer.sample.join("\n")));
}
