// The pages work without this file. It makes them change by themselves.
"use strict";

// A code follows # in the address, where no log and no server sees it. It is used up by the form.
const enter = document.getElementById("enter");
if (enter && location.hash.length > 1) {
  enter.elements.secret.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  enter.submit();
}

// One message a moment, however many events there are.
let waiting = false;
function changed() {
  if (waiting) return;
  waiting = true;
  setTimeout(() => {
    waiting = false;
    document.body.dispatchEvent(new CustomEvent("changed"));
  }, 100);
}

// What is wrong with the page itself is said above it, each for as long as it lasts. Nothing that was typed is lost by it.
const notices = new Map();
function notice(kind, text, link) {
  const box = document.getElementById("notice");
  if (!box || text === null && !notices.has(kind)) return;
  if (text === null) notices.delete(kind);
  else if (notices.get(kind)?.text !== text) notices.set(kind, { text, link });
  else return; // a reader is told once
  box.replaceChildren(...[...notices.values()].map(n => {
    const p = document.createElement("p");
    p.append(n.text);
    if (n.link) p.append(" ", Object.assign(document.createElement("a"), { href: n.link, target: "_blank", rel: "noopener", textContent: "Sign in in another window" }));
    return p;
  }));
}

// Whether something was typed that the page would take with it.
const typed = () => [...document.querySelectorAll("main :is(input:not([type=hidden], [type=radio]), textarea)")].some(e => e.value !== e.defaultValue);

// Asks whether the session lasts, and says so where it does not. Forms get the value of the session that there is: after another
// sign-in what was typed can be sent as it stands.
async function ask() {
  let answer;
  try {
    answer = await fetch(document.body.dataset.session, { cache: "no-store" });
  } catch {
    notice("gone", "The sidecar does not answer. The page goes on when it does; what you typed stays.");
    return false;
  }
  notice("gone", null);
  if (answer.ok) {
    const { form } = await answer.json();
    for (const field of document.querySelectorAll("input[name=form]")) field.value = form;
    notice("ended", null);
    return true;
  }
  if (answer.status !== 401) {
    notice("gone", `The sidecar answers ${answer.status}: try again in a moment. What you typed stays.`);
  } else if (typed()) {
    notice("ended", "The session ended. What you typed stays here.", document.body.dataset.session.replace(/session$/, "enter"));
  } else {
    changed(); // which leads to the page to sign in on, where a part of this one is asked for
  }
  return false;
}

// A form with a change is sent once it is known that it arrives.
let sure = null;
document.addEventListener("submit", event => {
  const form = event.target;
  if (!document.body.dataset.session || form.method !== "post" || !form.closest("main") || form === sure) return;
  event.preventDefault();
  ask().then(good => {
    if (!good && !notices.size) { location.assign(location.href); return; } // nothing was typed: sign in
    if (!good) return;
    sure = form;
    form.requestSubmit(event.submitter);
    sure = null;
  });
});

// A part that cannot be renewed says so, and keeps what it shows. Where something was typed, no page to sign in on takes its place.
document.addEventListener("htmx:beforeOnLoad", event => {
  if (event.detail.xhr.status !== 401 || !typed()) return;
  event.preventDefault();
  ask();
});
document.addEventListener("htmx:sendError", () => notice("gone", "The sidecar does not answer. The page goes on when it does; what it shows may be old."));
document.addEventListener("htmx:responseError", event => {
  if (event.detail.xhr.status !== 401) notice("part", `A part of this page cannot be renewed (${event.detail.xhr.status}): what it shows may be old.`);
});
document.addEventListener("htmx:afterSwap", () => { notice("part", null); notice("gone", null); });
addEventListener("focus", () => { if (notices.has("ended")) ask(); });

const address = document.body.dataset.events;
if (address && window.EventSource) {
  const names = ["lifecycle", "gap"];
  const stream = new EventSource(address);
  for (const name of names) stream.addEventListener(name, changed);
  // What happened between the page and the stream, or while the stream was broken, no event tells.
  stream.onopen = () => { notice("gone", null); changed(); };
  // A stream that is refused for good may be that of a session which ended: the next question tells. One that breaks comes back.
  stream.onerror = () => { changed(); if (stream.readyState === EventSource.CLOSED) ask(); };
}

// What a person has opened and chosen stays so when a part of the page is replaced, and the keyboard stays where it was.
const nameOf = e => [e.tagName, e.id, e.name, e.type === "radio" && e.value, e.getAttribute("href"), e.getAttribute("aria-label") || (e.matches("a, button, summary") && e.textContent)].join("\n");
const among = (root, names, selector) => [...root.querySelectorAll(selector)].filter(e => names.has(nameOf(e)));
let kept = null;
document.addEventListener("htmx:beforeSwap", event => {
  const root = event.detail.target;
  const names = selector => new Set([...root.querySelectorAll(selector)].map(nameOf));
  const here = document.activeElement;
  kept = { root, open: names("details[open] > summary"), chosen: names("input:checked"), here: root.contains(here) && here !== root ? nameOf(here) : null };
});
document.addEventListener("htmx:afterSwap", event => {
  if (!kept || event.detail.target !== kept.root) return;
  const { root, open, chosen, here } = kept;
  kept = null;
  for (const summary of among(root, open, "details > summary")) summary.parentElement.open = true;
  for (const input of among(root, chosen, "input")) input.checked = true;
  if (here && document.activeElement === document.body) among(root, new Set([here]), "*")[0]?.focus({ preventScroll: true });
});

// The plots' numbers of minutes that are over do not change: the page asks for the later ones, and puts those that it has before
// them, as long as they are of the last hour.
document.addEventListener("htmx:configRequest", event => {
  const has = event.detail.elt.querySelector(":scope > [data-since]");
  if (has) Object.assign(event.detail.parameters, { since: has.dataset.since, columns: has.dataset.columns });
});
document.addEventListener("htmx:beforeSwap", event => {
  if (!event.detail.serverResponse.includes(" data-part>")) return;
  const has = event.detail.target.querySelector(":scope > [data-since]");
  const come = new DOMParser().parseFromString(event.detail.serverResponse, "text/html");
  const timeOf = row => Date.parse(row.querySelector("time").dateTime);
  const rows = within => [...within.querySelectorAll("[data-plot] .numbers tbody")];
  const [before, after] = [rows(has), rows(come)];
  after.forEach((body, i) => {
    const last = body.rows.length ? timeOf(body.rows[body.rows.length - 1]) : Date.now();
    body.prepend(...[...before[i].rows].filter(row => timeOf(row) <= Date.parse(has.dataset.since) && timeOf(row) > last - 3600e3).map(row => document.importNode(row, true)));
  });
  come.querySelector("[data-part]").removeAttribute("data-part");
  event.detail.serverResponse = come.body.innerHTML;
});

// Times are those of the viewer's clock, with its zone; without a script they are UTC. The text before is what a pointer shows.
const two = n => String(n).padStart(2, "0");
function zoneOf(t) {
  const east = -t.getTimezoneOffset();
  return east === 0 ? "UTC" : (east < 0 ? "-" : "+") + two(Math.floor(Math.abs(east) / 60)) + ":" + two(Math.abs(east) % 60);
}
function local(within) {
  if (zoneOf(new Date()) === "UTC") return;
  for (const time of within.querySelectorAll("time[datetime]:not([title])")) {
    const t = new Date(time.dateTime);
    const clock = two(t.getHours()) + ":" + two(t.getMinutes());
    time.title = time.dataset.clock === undefined ? time.textContent : time.textContent + " UTC";
    time.textContent = time.dataset.clock !== undefined ? clock : `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())} ${clock}:${two(t.getSeconds())} ${zoneOf(t)}`;
  }
  const zone = document.getElementById("zone");
  if (zone) zone.textContent = `times are those of your clock, ${zoneOf(new Date())}`;
}
local(document);
for (const when of ["htmx:afterSwap", "htmx:load"]) document.addEventListener(when, () => local(document)); // before anybody sees the part

// What a time is away.
function count() {
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const left = Math.max(0, Math.round((new Date(time.dateTime) - Date.now()) / 1000));
    time.textContent = time.textContent.replace(/ \(in .*\)$/, "") + ` (in ${Math.floor(left / 60)} min ${left % 60} s)`;
  }
}
count();
setInterval(count, 1000);

// A button copies the text of the element that it names.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
  });
}

// Work that takes long tells how far it is, and ends when it is cancelled or the page is left. Its result is a part of the page.
for (const part of document.querySelectorAll("[data-work]")) {
  const [text, bar, count, button] = [".work p", ".work progress", ".work span", ".work button"].map((s) => part.querySelector(s));
  if (!window.EventSource || !window.htmx) continue;
  let stream = null;
  const say = (now) => {
    if (text.textContent !== now.text) text.textContent = now.text; // a reader is told of each change
    count.textContent = now.count;
    bar.hidden = !stream;
    if (now.total) [bar.max, bar.value] = [now.total, now.done];
    else bar.removeAttribute("value");
    button.textContent = stream ? "Cancel" : "Start again";
  };
  const end = (why) => {
    stream.close();
    stream = null;
    say({ text: why, count: "" });
  };
  const begin = () => {
    stream = new EventSource(part.dataset.work);
    stream.addEventListener("progress", (e) => say(JSON.parse(e.data)));
    stream.addEventListener("failed", (e) => end(JSON.parse(e.data).text));
    stream.addEventListener("result", (e) => {
      stream.close();
      htmx.swap(part, e.data, { swapStyle: "outerHTML" });
    });
    stream.onerror = () => end("The connection broke.");
  };
  button.addEventListener("click", () => (stream ? end("Cancelled.") : begin()));
  part.querySelector(".working").classList.add("on");
  begin();
}
