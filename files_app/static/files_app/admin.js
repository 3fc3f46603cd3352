// What the admin's pages do in the browser. No dependency, nothing inline: the Content-Security-Policy stays strict.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    menus();
    searchShortcut();
    copyButtons();
    facetCounts();
    previews();
    requestRows();
    refreshed();
    confirmations();
    streams();
    document.querySelectorAll("[data-upload]").forEach(uploads);
    document.querySelectorAll(".fg-chart-scroll").forEach((box) => { box.scrollLeft = box.scrollWidth; });
});

/** Menus are <details>: one is open at a time, a click elsewhere and Escape close it. */
function menus() {
    const open = () => document.querySelectorAll("[data-menu][open]");
    document.addEventListener("click", (event) => {
        open().forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
    });
    document.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        open().forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
    });
    document.querySelectorAll("[data-narrow]").forEach((input) => {
        input.addEventListener("input", () => {
            const wanted = input.value.trim().toLowerCase();
            input.parentElement.querySelectorAll("li").forEach((line) => {
                line.hidden = !line.textContent.toLowerCase().includes(wanted);
            });
        });
    });
    document.querySelectorAll("[data-menu]").forEach((menu) => menu.addEventListener("toggle", () => {
        if (!menu.open) return;
        const popover = menu.querySelector(".fg-popover");
        popover.classList.toggle("fg-popover-right", menu.getBoundingClientRect().left + popover.offsetWidth > window.innerWidth - 12);
        const narrow = menu.querySelector("[data-narrow]");
        if (narrow) narrow.focus();
    }));
}

/** `/` leads to the search field. */
function searchShortcut() {
    const field = document.querySelector("[data-search]");
    if (!field) return;
    document.addEventListener("keydown", (event) => {
        if (event.key !== "/" || event.target.closest("input, textarea, select, [contenteditable]")) return;
        event.preventDefault();
        field.focus();
        field.select();
    });
}

function copyButtons() {
    document.addEventListener("click", async (event) => {
        const button = event.target.closest("[data-copy], [data-copy-next]");
        if (!button) return;
        await copy(button.dataset.copy ?? button.nextElementSibling.textContent);
        const icon = button.querySelector(".material-symbols-outlined");
        const label = button.querySelector("[data-copy-label]");
        button.classList.add("is-done");
        icon.textContent = "check";
        if (label) label.textContent = "Copied";
        setTimeout(() => {
            button.classList.remove("is-done");
            icon.textContent = "content_copy";
            if (label) label.textContent = "Copy";
        }, 1600);
    });
}

/** The clipboard is only there on https and on loopback. */
async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
}

/** Facets are counted after the page has come, so that a list never waits for them. */
async function facetCounts() {
    const toolbar = document.querySelector("[data-facets]");
    if (!toolbar) return;
    const answer = await fetch(toolbar.dataset.facets, { headers: { Accept: "application/json" } });
    if (!answer.ok) return;
    const counts = await answer.json();
    toolbar.querySelectorAll("[data-facet]").forEach((place) => {
        const choices = counts[place.dataset.facet];
        if (!choices) return;
        const count = choices[place.dataset.value] || 0;
        const newest = counts.of_newest;  // there are too many to count
        place.textContent = count.toLocaleString("en-US") + (newest ? "+" : "");
        if (newest) place.title = `Of the newest ${newest.toLocaleString("en-US")} files`;
        place.closest(".fg-choice")?.classList.toggle("is-empty", count === 0 && !newest);
    });
    toolbar.dataset.counted = "1";
}

function previews() {
    document.querySelectorAll("[data-preview]").forEach((form) => form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const place = document.getElementById(form.dataset.preview);
        form.querySelector("button").disabled = true;
        const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
        place.innerHTML = await answer.text();  // made and escaped by the server
    }));
}

/** A request's row opens below itself; what it shows is fetched once. */
function requestRows() {
    document.addEventListener("submit", async (event) => {
        const form = event.target.closest("[data-request]");
        if (!form) return;
        event.preventDefault();
        const row = document.getElementById(form.dataset.request);
        const button = form.querySelector("button");
        row.hidden = !row.hidden;
        button.setAttribute("aria-expanded", String(!row.hidden));
        button.firstChild.textContent = row.hidden ? "Show" : "Hide";
        if (row.hidden || row.dataset.loaded) return;
        row.dataset.loaded = "1";
        row.cells[0].textContent = "Reading…";
        try {
            const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
            row.cells[0].innerHTML = await answer.text();  // made and escaped by the server
        } catch {
            delete row.dataset.loaded;
            row.cells[0].textContent = "The gateway did not answer. Hide the row and show it again.";
        }
    });
}

/** A piece of a page that is not complete asks for itself until it is, unless somebody reads in it. */
async function refreshed() {
    for (;;) {
        const place = document.querySelector("[data-refresh]");
        if (!place) return;
        await new Promise((resolve) => setTimeout(resolve, Number(place.dataset.refresh)));
        if (document.hidden || place.querySelector(".fg-request-detail:not([hidden])")) continue;
        const answer = await fetch(location.href).catch(() => null);
        if (!answer || !answer.ok) continue;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(place.id);
        if (!fresh) return;
        place.replaceWith(fresh);
    }
}

function confirmations() {
    document.querySelectorAll("[data-confirm]").forEach((form) => form.addEventListener("submit", (event) => {
        if (!window.confirm(form.dataset.confirm)) event.preventDefault();
    }));
}

/** Forms whose answer comes line by line: the connection test and the sync. */
function streams() {
    const handlers = { test: connectionTest, sync: syncNow };
    document.querySelectorAll("[data-stream]").forEach((form) => {
        form.addEventListener("submit", (event) => {
            event.preventDefault();
            handlers[form.dataset.stream](form);
        });
        if ("start" in form.dataset) form.requestSubmit();
    });
}

async function* lines(form) {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    if (!answer.ok) throw new Error(`The gateway answered ${answer.status}.`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const parts = (rest + value).split("\n");
        rest = parts.pop();
        for (const part of parts) if (part) yield JSON.parse(part);
    }
}

async function connectionTest(form) {
    const list = form.parentElement.querySelector("[data-steps]");
    const button = form.querySelector("button");
    const busy = element("li", { className: "is-busy" }, icon("progress_activity"), element("strong", {}, "Working"));
    list.replaceChildren(busy);
    button.disabled = true;
    try {
        for await (const step of lines(form)) busy.before(shownStep(step));
    } catch (error) {
        busy.before(shownStep({ name: "The test did not end", ok: false, seconds: 0, detail: error.message }));
    }
    busy.remove();
    button.disabled = false;
}

function shownStep(step) {
    return element("li", { className: step.ok ? "" : "is-bad" },
        icon(step.ok ? "check_circle" : "error"),
        element("strong", {}, step.name),
        element("span", { className: "fg-muted fg-number" }, seconds(step.seconds)),
        element("p", {}, step.detail));
}

function seconds(value) {
    return value < 1 ? `${Math.max(1, Math.round(value * 1000))} ms` : `${value.toFixed(1)} s`;
}

async function syncNow(form) {
    const place = form.querySelector("[data-sync]");
    const button = form.querySelector("button");
    button.disabled = true;
    place.textContent = "Asking the provider…";
    try {
        for await (const line of lines(form)) {
            place.textContent = line.done ? line.detail : `${line.seen} files seen, ${line.adopted} new, ${line.lost} lost`;
            place.classList.toggle("fg-text-critical", line.done === true && !line.ok);
        }
    } catch (error) {
        place.textContent = error.message;
    }
    button.disabled = false;
}

/** The upload page: targets to choose from, a place to drop files on, and one transfer after the other. */
function uploads(form) {
    const targets = JSON.parse(document.getElementById("upload-targets").textContent);
    const field = (name) => document.getElementById(`upload-${name}`);
    const target = () => targets.find((one) => String(one.id) === field("organization").value);
    const account = () => target().accounts.find((one) => one.name === field("account").value);
    const options = (select, values) => select.replaceChildren(...values.map(([value, text]) => new Option(text, value)));
    const queue = [];
    let isBusy = false;

    const showPurposes = () => {
        const before = field("purpose").value || "user_data";
        const purposes = account() ? account().purposes : [];
        options(field("purpose"), purposes.map((purpose) => [purpose, purpose]));
        if (purposes.includes(before)) field("purpose").value = before;
    };
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
    const next = async () => {
        if (isBusy || !queue.length) return;
        isBusy = true;
        await send(form, queue.shift());
        isBusy = false;
        next();
    };
    const add = (files) => {
        for (const file of files) {
            const row = transferRow(file);
            field("transfers").append(row);
            const parameters = new URLSearchParams({
                organization: field("organization").value, account: field("account").value,
                purpose: field("purpose").value, expires_after_seconds: field("expiry").value, filename: file.name,
                model: field("model").value, validate_only: field("check").checked,
            });
            queue.push({ file, row, parameters });
        }
        next();
    };

    options(field("organization"), targets.map((one) => [one.id, one.name]));
    const chosen = targets.find((one) => String(one.id) === form.dataset.chosen) || targets.find((one) => one.accounts.length);
    if (chosen) field("organization").value = chosen.id;
    field("organization").addEventListener("change", showAccounts);
    field("account").addEventListener("change", showPurposes);
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

function transferRow(file) {
    return element("li", { className: "fg-transfer" },
        element("strong", { dir: "auto" }, file.name),
        element("span", { className: "fg-muted fg-number" }, readable(file.size)),
        element("progress", { max: 100, value: 0, ariaLabel: `Upload of ${file.name}` }),
        element("p", {}, "waiting"));
}

/** XMLHttpRequest, because fetch does not tell how much of a body has gone. */
function send(form, { file, row, parameters }) {
    const note = row.querySelector("p");
    const progress = row.querySelector("progress");
    return new Promise((resolve) => {
        const request = new XMLHttpRequest();
        const fail = (text) => {
            row.classList.add("is-bad");
            progress.value = 100;
            note.textContent = text;
            resolve();
        };
        request.open("PUT", `${form.dataset.upload}?${parameters}`);
        request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
        request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
        request.upload.addEventListener("progress", (event) => {
            progress.value = 100 * event.loaded / (event.total || 1);
            note.textContent = event.loaded < event.total
                ? `${readable(event.loaded)} of ${readable(event.total)}` : "sent; the provider has to confirm";
        });
        request.addEventListener("error", () => fail("The connection broke, or the gateway refused before the end."));
        request.addEventListener("load", () => {
            let answer = {};
            try { answer = JSON.parse(request.responseText); } catch { /* a page instead of an answer */ }
            if (request.status !== 200) return fail(answer.error || `The gateway answered ${request.status}.`);
            row.classList.add("is-done");
            progress.value = 100;
            if (answer.id) note.replaceChildren("stored as ", element("a", { href: answer.link }, answer.id));
            else showCheck(row, note, answer);
            resolve();
        });
        request.send(file);
    });
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

function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
}

function icon(name) {
    const made = element("span", { className: "material-symbols-outlined" }, name);
    made.setAttribute("aria-hidden", "true");
    return made;
}

function readable(size) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let place = 0;
    while (size >= 1024 && place < units.length - 1) { size /= 1024; place += 1; }
    return `${place ? size.toPrecision(3) : size} ${units[place]}`;
}
