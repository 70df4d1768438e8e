// Search over every section of the documentation. What is searched and the library that searches are loaded when somebody begins to,
// as scripts, since a page that no server serves can load nothing else.
(() => {
  const up = document.documentElement.dataset.up;
  const input = document.getElementById("search");
  const panel = document.getElementById("found");
  const [status, list] = panel.children;
  const narrow = matchMedia("(max-width: 60rem)");
  if (narrow.matches) document.querySelector(".menu").open = false;
  narrow.addEventListener("change", () => { document.querySelector(".menu").open = !narrow.matches; });
  const nav = document.querySelector("nav"), current = nav.querySelector("[aria-current]");
  if (current && !narrow.matches) nav.scrollTop = current.offsetTop - nav.offsetTop - nav.clientHeight / 2; // the page that is open is in view
  input.hidden = false;

  const load = name => new Promise((done, refuse) => {
    const script = Object.assign(document.createElement("script"), { src: up + name, onload: done, onerror: refuse });
    document.head.append(script);
  });
  let ready;
  const index = () => ready ??= Promise.all([load("minisearch.js"), load("search-sections.js")]).then(() => {
    const search = new MiniSearch({ fields: ["title", "page", "text"] });
    search.addAll(window.searchSections);
    return search;
  });

  // excerpt returns the words around the first term, what was typed, or else around the one of the others that comes first.
  const excerpt = (text, terms) => {
    const lower = text.toLowerCase();
    const [typed, ...others] = terms.map(t => lower.indexOf(t));
    const from = Math.max(0, (typed >= 0 ? typed : Math.min(...others.filter(i => i >= 0), text.length)) - 60);
    const part = text.slice(from, from + 160);
    return (from > 0 ? "…" : "") + part + (from + 160 < text.length ? "…" : "");
  };
  const marked = (element, text, terms) => {
    const words = terms.map(t => t.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).filter(Boolean);
    const parts = words.length ? text.split(new RegExp(`(${words.join("|")})`, "i")) : [text];
    parts.forEach((part, i) => {
      if (i % 2 === 0) { element.append(part); return; }
      element.append(Object.assign(document.createElement("mark"), { textContent: part }));
    });
    return element;
  };
  const span = (name, text, terms) => marked(Object.assign(document.createElement("span"), { className: name }), text, terms);

  const show = async () => {
    const asked = input.value.trim();
    panel.hidden = asked === "";
    if (asked === "") return;
    let search;
    try { search = await index(); } catch { status.textContent = "The search could not be loaded."; return; }
    if (asked !== input.value.trim()) return; // another search began meanwhile
    // A text that stands there as it was typed, such as a flag, comes before words that merely are in the same section.
    const exact = asked.toLowerCase();
    const boostDocument = id => {
      const s = window.searchSections[id];
      if (s.title.toLowerCase().includes(exact)) return 16;
      return s.text.toLowerCase().includes(exact) ? 8 : 1;
    };
    const hits = search.search(asked, {
      combineWith: "AND", prefix: true, fuzzy: t => t.length > 4 ? 0.2 : false, boost: { title: 4, page: 2 }, boostDocument,
    });
    status.textContent = hits.length === 0 ? "Nothing found." : `${hits.length} found`;
    list.replaceChildren(...hits.slice(0, 20).map(hit => {
      const s = window.searchSections[hit.id], terms = [exact, ...hit.terms];
      const link = Object.assign(document.createElement("a"), { href: up + s.url });
      link.append(span("title", s.title || s.page, terms));
      if (s.title && s.title !== s.page) link.append(span("page", " · " + s.page, []));
      link.append(span("text", excerpt(s.text, terms), terms));
      const row = document.createElement("li");
      row.append(link);
      return row;
    }));
  };
  const close = () => { panel.hidden = true; };
  input.addEventListener("input", show);
  input.addEventListener("focus", () => { index().catch(() => 0); if (input.value) show(); });

  // The arrows go from the field to what was found, / to the field, and Escape out of it.
  document.addEventListener("keydown", event => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      input.focus();
      return;
    }
    if (!event.target.closest("search")) return;
    const links = [...list.querySelectorAll("a")], at = links.indexOf(document.activeElement);
    if (event.key === "Escape") {
      close();
      input.focus();
    } else if (event.key === "Enter" && event.target === input && links.length > 0) {
      links[0].click();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const next = at + (event.key === "ArrowDown" ? 1 : -1);
      (next < 0 ? input : links[Math.min(next, links.length - 1)] ?? input).focus();
    }
  });
  document.addEventListener("click", event => { if (!event.target.closest("search") || event.target.closest("#found a")) close(); });
})();
