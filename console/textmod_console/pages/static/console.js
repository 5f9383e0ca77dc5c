// Makes the queue quick: single keys, the next card ahead of time, no full reload between cards.
// Everything here is an addition: without it every page works by links and forms.
"use strict";

const PRELOADED_FOR = 60000; // ms; a claim lasts two minutes
const RENEW_EVERY = 60000; // ms; while a card is looked at
const RENEWALS = 15; // then the card goes back to the others

const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("console", { createHTML: (html) => html })
  : { createHTML: (html) => html };

let ahead = null; // the next card: {url, page, at}
let shownAt = performance.now();
let working = Promise.resolve(); // requests go one after another
let shows = 0; // counts what was put on the screen, so that no late answer overwrites a newer one
let renewals = 0;

// Scripts in a page that is read this way never run.
const parse = (html) => new DOMParser().parseFromString(policy.createHTML(html), "text/html");
const itemOf = (page) => page.querySelector(".card[data-item]")?.dataset.item;

async function ask(url, body) {
  const options = body ? { method: "POST", body: new URLSearchParams(body) } : {};
  const response = await fetch(url, { credentials: "same-origin", ...options });
  const page = parse(await response.text());
  return { page, url: response.url, done: response.ok && new URL(response.url).pathname === "/queue" };
}

function show(page, url) {
  shows += 1;
  const undo = document.querySelector("[data-undo]");
  document.title = page.title;
  document.getElementById("page").replaceWith(document.adoptNode(page.getElementById("page")));
  if (undo && !document.querySelector("[data-undo]")) document.getElementById("notices").append(undo);
  if (url) history.pushState(null, "", url);
  arrived();
}

function showNotices(page) {
  const fresh = page.getElementById("notices");
  document.getElementById("notices").replaceChildren(...document.adoptNode(fresh).childNodes);
  endUndo();
}

function arrived() {
  shownAt = performance.now();
  renewals = 0;
  const main = document.getElementById("page");
  (main.querySelector("[data-focus]") || main.querySelector("h1") || main).focus();
  endUndo();
  lookAhead();
}

// The page of a covered or open card names the next one; it is fetched, and so claimed, beforehand.
async function lookAhead() {
  const next = document.querySelector('.card[data-item] a[rel="next"]');
  if (!next || ahead?.url === next.href) return;
  ahead = null;
  try {
    const { page } = await ask(next.href);
    ahead = { url: next.href, page, at: performance.now() };
  } catch {
    ahead = null;
  }
}

function takeAhead() {
  const usable = ahead && performance.now() - ahead.at < PRELOADED_FOR && itemOf(ahead.page);
  const taken = usable ? ahead : null;
  ahead = null;
  return taken;
}

// A decision can be undone for ten seconds, whatever else is shown meanwhile.
function endUndo() {
  const form = document.querySelector("[data-undo]:not([data-ends])");
  if (!form) return;
  form.dataset.ends = "yes";
  setTimeout(() => form.remove(), Number(form.dataset.undo) * 1000);
}

async function go(url, body) {
  try {
    const answer = await ask(url, body);
    show(answer.page, (answer.done || !body) && answer.url);
  } catch {
    location.assign(body ? "/queue" : url);
  }
}

// The next card is on the screen at once; the answer brings the notice, or what went wrong.
async function decide(form, body) {
  const next = takeAhead();
  if (!next) return go(form.action, body);
  show(next.page, next.url);
  const mine = shows;
  try {
    const answer = await ask(form.action, body);
    const moved = mine !== shows || itemOf(answer.page) === itemOf(document);
    if (answer.done && moved) showNotices(answer.page);
    else show(answer.page, answer.done && answer.url); // or why the decision was not taken
  } catch {
    location.assign("/queue");
  }
}

function submitted(event) {
  const form = event.target;
  if (form.matches("[data-plain]") || form.method !== "post") return;
  event.preventDefault();
  const time = form.querySelector('input[name="milliseconds"]');
  if (time) time.value = String(Math.round(performance.now() - shownAt));
  const body = [...new FormData(form, event.submitter)];
  if (form.matches("[data-undo]")) form.remove();
  working = working.then(() =>
    form.matches("[data-decide]") ? decide(form, body) : go(form.action, body),
  );
}

function clicked(event) {
  // The second click of a double one would decide the next card, which nobody has read.
  if (event.detail > 1 && event.target.closest("[data-decide] button")) event.preventDefault();
  const link = event.target.closest(".card a[rel]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  const next = link.rel === "next" && ahead?.url === link.href ? takeAhead() : null;
  if (next) show(next.page, next.url);
  else working = working.then(() => go(link.href));
}

// A layout without Latin letters has none of our keys: there the key's place counts.
function keyOf(event) {
  const key = event.shiftKey ? event.key : event.key.toLowerCase(); // also with Caps Lock
  const other = /^\p{L}$/u.test(key) && !/^\p{Script=Latin}$/u.test(key);
  return other && /^Key[A-Z]$/.test(event.code) ? event.code[3].toLowerCase() : key;
}

function pressed(event) {
  if (document.body.dataset.keys !== "on" || event.repeat) return;
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select")) return;
  const key = keyOf(event);
  const found = [...document.querySelectorAll("[data-key]")].find((e) => e.dataset.key === key);
  if (!found) return;
  event.preventDefault();
  found.click();
}

let sliding = 0;
function slid(event) {
  const form = event.target.closest("form[data-live]");
  if (!form) return;
  clearTimeout(sliding);
  sliding = setTimeout(async () => {
    const url = `${form.action}?${new URLSearchParams([...new FormData(form)])}`;
    try {
      const { page } = await ask(url);
      const fresh = page.getElementById("outcome");
      if (fresh) document.getElementById("outcome").replaceChildren(...document.adoptNode(fresh).childNodes);
      history.replaceState(null, "", url);
    } catch {
      // The button still works.
    }
  }, 120);
}

function renew() {
  const item = itemOf(document);
  if (!item || document.hidden || renewals >= RENEWALS) return;
  renewals += 1;
  fetch(`/queue?${new URLSearchParams({ item })}`, { credentials: "same-origin" }).catch(() => {});
}

document.addEventListener("submit", submitted);
document.addEventListener("click", clicked);
document.addEventListener("keydown", pressed);
document.addEventListener("input", slid);
addEventListener("popstate", () => location.reload());
setInterval(renew, RENEW_EVERY);
if (itemOf(document)) arrived();
