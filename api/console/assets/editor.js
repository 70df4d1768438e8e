// Editors for Rego and JSON. An element with data-editor="rego" or "json" is one: a <textarea> that is edited, or a <pre> that
// is read. Its name is that of its label or aria-label. data-line="2" is a line that is shown first; data-covered="1-3,7",
// data-excluded="6", data-skipped="5" and data-missed="4" mark lines; data-first="12" is the number of the first line, 0: lines have none; with data-tabs, Tab indents.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { bracketMatching, HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, RangeSetBuilder } from "@codemirror/state";
import { Decoration, EditorView, gutter, GutterMarker, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const keywords = new Set(("package import as default else not some every in if contains with true false null").split(" "));

const rego = StreamLanguage.define({
  name: "rego",
  startState: () => ({ raw: false }),
  token(stream, state) {
    if (state.raw) {
      if (stream.skipTo("`")) { stream.next(); state.raw = false; } else stream.skipToEnd();
      return "string";
    }
    if (stream.eatSpace()) return null;
    if (stream.match(/^#.*/)) return "comment";
    if (stream.match(/^"(?:[^"\\]|\\.)*"?/)) return "string";
    if (stream.eat("`")) { state.raw = true; return "string"; }
    if (stream.match(/^\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/)) return "number";
    const word = stream.match(/^[\p{L}_][\p{L}\p{N}_]*/u);
    if (word) {
      if (keywords.has(word[0])) return "keyword";
      return stream.match(/^\s*\(/, false) ? "function(variableName)" : "variableName";
    }
    stream.next();
    return null;
  },
  languageData: { commentTokens: { line: "#" } },
});

const style = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--link)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--well)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--look)" },
  { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
  { tag: tags.function(tags.variableName), color: "var(--link)" },
  { tag: tags.propertyName, color: "var(--text)" },
]);

const theme = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--sheet)", border: "1px solid var(--line)", borderRadius: "4px", maxHeight: "70vh" },
  "&.cm-focused": { outline: "3px solid var(--link)", outlineOffset: "2px" },
  // As large as the text that it takes the place of, so that nothing below moves.
  ".cm-scroller": { overflow: "auto", fontFamily: "ui-monospace, monospace", fontSize: ".9375rem", lineHeight: "1.5" },
  ".cm-content": { caretColor: "var(--text)", padding: ".5rem 0" },
  ".cm-gutters": { backgroundColor: "var(--sheet)", color: "var(--quiet)", border: "none" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-here": { backgroundColor: "var(--mark)" },
  ".cm-covered": { boxShadow: "inset 4px 0 var(--well)" },
  ".cm-excluded, .cm-skipped": { boxShadow: "inset 4px 0 var(--look)" },
  ".cm-missed": { boxShadow: "inset 4px 0 var(--wrong)" },
  ".cm-signs": { minWidth: "1.25em", textAlign: "center" },
  ".cm-signs .covered": { color: "var(--well)" },
  ".cm-signs .excluded, .cm-signs .skipped": { color: "var(--look)", fontWeight: "700" },
  ".cm-signs .missed": { color: "var(--wrong)", fontWeight: "700" },
  // The search panel, in the colours of the page: those of the editor are for light pages.
  ".cm-panels": { backgroundColor: "var(--sheet)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panel.cm-search": { fontSize: "1rem" },
  ".cm-textfield": { color: "var(--text)", backgroundColor: "var(--ground)", border: "1px solid var(--quiet)" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button": { fontSize: ".9375rem", minHeight: "1.75rem", minWidth: "1.5rem" },
  ".cm-panel.cm-search label": { fontSize: ".9375rem" },
  ".cm-button": { color: "var(--text)", background: "var(--sheet)", border: "1px solid var(--quiet)" },
  ".cm-panel.cm-search [name=close]": { color: "var(--text)" },
  ".cm-selectionMatch, .cm-searchMatch": { backgroundColor: "var(--mark)" },
  ".cm-searchMatch-selected": { outline: "2px solid var(--link)", backgroundColor: "var(--mark)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--mark)" },
});

// Lines that are marked: data-covered="1-3,7", data-excluded="6", data-skipped="5", data-missed="4", data-line="2".
function marks(element) {
  const kinds = [];
  for (const kind of ["covered", "excluded", "skipped", "missed", "line"]) {
    for (const part of (element.dataset[kind] || "").split(",").filter(Boolean)) {
      const [from, to = from] = part.split("-").map(Number);
      for (let n = from; n <= to; n++) kinds.push([n, kind === "line" ? "here" : kind]);
    }
  }
  return kinds.sort((a, b) => a[0] - b[0]);
}

// A sign beside the number of a line, for who does not tell the colours apart: those of the commands.
const texts = { covered: "+", excluded: "×", skipped: "~", missed: "-" };
class Sign extends GutterMarker {
  constructor(kind) { super(); this.kind = kind; }
  eq(other) { return other.kind === this.kind; }
  toDOM() {
    const sign = document.createElement("span");
    sign.className = this.kind;
    sign.textContent = texts[this.kind];
    return sign;
  }
}
const signs = Object.fromEntries(Object.keys(texts).map(kind => [kind, new Sign(kind)]));

function marked(element) {
  const all = marks(element);
  if (!all.length) return [];
  const signOf = new Map(all.filter(([, kind]) => signs[kind]).map(([n, kind]) => [n, signs[kind]]));
  const beside = signOf.size === 0 ? [] : gutter({
    class: "cm-signs", lineMarker: (view, line) => signOf.get(view.state.doc.lineAt(line.from).number) || null,
  });
  return [beside, EditorView.decorations.of(view => {
    const builder = new RangeSetBuilder();
    for (const [n, kind] of all) {
      if (n >= 1 && n <= view.state.doc.lines) {
        const at = view.state.doc.line(n).from;
        builder.add(at, at, Decoration.line({ class: "cm-" + kind }));
      }
    }
    return builder.finish();
  })];
}

// The name of an editor is that of the element: labels do not reach into a shadow root.
function nameOf(element) {
  const label = element.labels && element.labels[0];
  return element.getAttribute("aria-label") || (label && label.textContent.trim()) || "Text";
}

function edit(element) {
  const written = element.tagName === "TEXTAREA";
  const language = element.dataset.editor === "json" ? json() : rego;
  const first = Number(element.dataset.first ?? 1);
  const extensions = [
    first ? lineNumbers({ formatNumber: n => String(n + first - 1) }) : [], history(), bracketMatching(), highlightSelectionMatches(), search({ top: true }), language, theme,
    syntaxHighlighting(style), marked(element), EditorView.lineWrapping,
    EditorView.contentAttributes.of({ "aria-label": nameOf(element) }),
    // Tab leaves the editor, as on any other field; Escape and then Tab would be known to few.
    keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap, ...(element.dataset.tabs ? [indentWithTab] : [])]),
  ];
  if (!written) extensions.push(EditorState.readOnly.of(true));
  const height = Math.min(element.offsetHeight, innerHeight * 0.7) - 2; // without the border
  if (height > 0) extensions.push(EditorView.theme({ ".cm-content, .cm-gutter": { minHeight: height + "px" } }));
  if (written) {
    element.required = false; // nobody sees what the browser says of a field that is hidden
    extensions.push(EditorView.updateListener.of(update => {
      if (update.docChanged) element.value = update.state.doc.toString();
    }));
  }
  // Within a shadow root, styles need no <style> element, which the pages' security policy forbids.
  const host = document.createElement("div");
  element.after(host);
  const root = host.attachShadow({ mode: "open" });
  const view = new EditorView({ doc: written ? element.value : element.textContent.replace(/\n$/, ""), extensions, root, parent: root });
  element.hidden = true;
  if (written && element.form) {
    element.form.addEventListener("reset", () => setTimeout(() => {
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: element.value } });
    }));
  }
  for (const label of element.labels || []) label.addEventListener("click", () => view.focus());
  const line = Number(element.dataset.line);
  if (line >= 1 && line <= view.state.doc.lines) {
    view.dispatch({ effects: EditorView.scrollIntoView(view.state.doc.line(line).from, { y: "center" }) });
  }
}

function all(within) {
  const inside = "[data-editor]:not([data-edited])";
  for (const element of [...within.matches?.(inside) ? [within] : [], ...within.querySelectorAll(inside)]) {
    element.dataset.edited = "1";
    const closed = element.closest("details:not([open])"); // there may be hundreds, and few are opened
    if (closed) closed.addEventListener("toggle", () => edit(element), { once: true });
    else edit(element);
  }
}

all(document);
document.addEventListener("htmx:load", event => all(event.target)); // what a swap brought
