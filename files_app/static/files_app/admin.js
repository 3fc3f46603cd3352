// What the admin's pages do in the browser. No dependency, nothing inline: the Content-Security-Policy stays strict.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
    timeZone();
    menus();
    searchShortcut();
    copyButtons();
    facetCounts();
    previews();
    previewViews();
    requestRows();
    refreshed();
    confirmations();
    streams();
    document.querySelectorAll(".fg-chart-scroll").forEach((box) => { box.scrollLeft = box.scrollWidth; });
});

/** The server shows times in the viewer's zone from the next page on. */
function timeZone() {
    const zone = encodeURIComponent(Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC");
    const path = `/${location.pathname.split("/")[1]}/`;
    document.cookie = `timezone=${zone}; path=${path}; max-age=31536000; samesite=lax${location.protocol === "https:" ? "; secure" : ""}`;
}

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
            if (label) label.textContent = label.dataset.copySaid ?? "Copy";
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

/** Whether a request was led to the sign-in page instead of being answered. */
function wasSignedOut(answer) {
    return answer.redirected && new URL(answer.url).pathname.endsWith("/login/");
}

const SIGNED_OUT = "You are signed out. Reload the page to sign in again.";

/** Facets are counted after the page has come, so that a list never waits for them. */
async function facetCounts() {
    const toolbar = document.querySelector("[data-facets]");
    if (!toolbar) return;
    const answer = await fetch(toolbar.dataset.facets, { headers: { Accept: "application/json" } });
    if (!answer.ok || wasSignedOut(answer)) return;
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
        if (wasSignedOut(answer)) place.textContent = SIGNED_OUT;
        else place.innerHTML = await answer.text();  // made and escaped by the server
    }));
}

/** How a preview is shown: its structure or the text as it stands, wrapped or not. */
function previewViews() {
    document.addEventListener("click", (event) => {
        const button = event.target.closest("[data-view]");
        if (!button) return;
        const box = button.closest(".fg-preview-box");
        box.querySelectorAll("[data-view]").forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
        box.querySelectorAll("[data-panel]").forEach((panel) => { panel.hidden = panel.dataset.panel !== button.dataset.view; });
    });
    document.addEventListener("change", (event) => {
        if (!event.target.matches("[data-wrap]")) return;
        event.target.closest(".fg-preview-box").classList.toggle("is-wrapped", event.target.checked);
    });
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
            if (wasSignedOut(answer)) row.cells[0].textContent = SIGNED_OUT;
            else row.cells[0].innerHTML = await answer.text();  // made and escaped by the server
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
        if (answer && wasSignedOut(answer)) return;
        if (!answer || !answer.ok) continue;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(place.id);
        if (!fresh) return;
        place.replaceWith(fresh);
    }
}

/** A form that cannot be undone asks first, in a dialog of the page. */
function confirmations() {
    document.querySelectorAll("[data-confirm]").forEach((form) => form.addEventListener("submit", async (event) => {
        if (form.dataset.confirmed) return;
        event.preventDefault();
        const button = event.submitter;
        const verb = button.lastChild.textContent.trim();  // behind its icon, where it has one
        if (!await confirmed(form.dataset.confirm, verb)) return;
        form.dataset.confirmed = "1";
        form.requestSubmit(button);
    }));
}

/** Ask, and return whether the answer was yes. Escape and a click on Cancel mean no. */
function confirmed(question, verb) {
    const yes = element("button", { className: "fg-button fg-button-danger", value: "yes" }, verb);
    const no = element("button", { className: "fg-button", value: "no", autofocus: true }, "Cancel");
    const form = element("form", { method: "dialog" },
        element("p", { id: "fg-question" }, question), element("div", { className: "fg-buttons" }, yes, no));
    const dialog = element("dialog", { className: "fg-dialog" }, form);
    dialog.setAttribute("aria-labelledby", "fg-question");
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => {
        resolve(dialog.returnValue === "yes");
        dialog.remove();
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
    if (wasSignedOut(answer)) throw new Error(SIGNED_OUT);
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
