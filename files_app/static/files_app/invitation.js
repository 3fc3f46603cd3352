// An invitation's secret is behind the # of its link: it goes into the form, and out of the address.
"use strict";

const form = document.getElementById("invitation-form");
if (form) {
    const token = form.querySelector("[name=token]");
    if (location.hash.length > 1) {
        token.value = decodeURIComponent(location.hash.slice(1));
        history.replaceState(null, "", location.pathname);
    }
    document.getElementById("no-token").hidden = token.value !== "";
}
