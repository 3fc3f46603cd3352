"use strict";

// Swagger UI has dark colours, and looks for the reader's wish only in a layout that is not used here.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
