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

const address = document.body.dataset.events;
if (address && window.EventSource) {
  const names = ["lifecycle", "gap"];
  const stream = new EventSource(address);
  for (const name of names) stream.addEventListener(name, changed);
  // What happened between the page and the stream, or while the stream was broken, no event tells.
  stream.onopen = changed;
  // A stream that is refused for good may be that of a session which ended: the next question leads to the page to sign in on.
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) changed(); };
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
