// @ts-check
// The first of the browser's languages that the page has, before anything else is imported:
// modules of the dashboard ask for it when they begin.

const language = navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => ["en", "tr"].includes(tag)) ?? "en";
if (language !== "en") document.documentElement.dataset.language = language;
