// Makes ../static of the packages in package-lock.json: `make console-assets`. The files are committed, so that building the
// program needs Go alone; ../static/lock.json says of what they were made, and a test holds them to it.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync, copyFileSync, rmSync } from "node:fs";
import { gzipSync } from "node:zlib";

const out = "../static/";
const packed = ["htmx.js", "plot.js", "editor.js", "LICENSES.txt"]; // so that the program is small
const made = [...packed.map(name => name + ".gz"), "plot.css"];
const sources = ["package.json", "package-lock.json", "build.mjs", "editor.js", "plot.js"];

const options = { bundle: true, minify: true, format: "iife", target: "es2020", legalComments: "none", logLevel: "warning" };
await build({ ...options, entryPoints: ["editor.js"], outfile: out + "editor.js" });
await build({ ...options, entryPoints: ["plot.js"], outfile: out + "plot.js" });
copyFileSync("node_modules/htmx.org/dist/htmx.min.js", out + "htmx.js");
copyFileSync("node_modules/uplot/dist/uPlot.min.css", out + "plot.css");

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
let licences = "The scripts of the console are made of these packages.\n";
for (const [path, entry] of Object.entries(lock.packages).sort()) {
  if (path === "" || entry.dev) continue;
  const name = path.replace(/^.*node_modules\//, "");
  licences += `\n${"=".repeat(72)}\n${name} ${entry.version} (${entry.license})\n\n`;
  for (const file of ["LICENSE", "LICENSE.md", "LICENCE", "license"]) {
    try { licences += readFileSync(`${path}/${file}`, "utf8").trim() + "\n"; break; } catch { /* the next name */ }
  }
}
writeFileSync(out + "LICENSES.txt", licences);
for (const name of packed) {
  writeFileSync(out + name + ".gz", gzipSync(readFileSync(out + name), { level: 9 }));
  rmSync(out + name);
}

const hash = file => createHash("sha256").update(readFileSync(file)).digest("hex");
const sums = (dir, names) => Object.fromEntries(names.map(name => [name, hash(dir + name)]));
writeFileSync(out + "lock.json", JSON.stringify({ sources: sums("", sources), made: sums(out, made) }, null, 2) + "\n");
