// Makes ../hugo/static/minisearch.js of the package in package-lock.json: `make site-assets`. The file is committed, so that the site
// needs Go alone; lock.json says of what it was made, and a test holds it to that.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const from = "node_modules/minisearch/", out = "../hugo/static/minisearch.js";
const { name, version, license } = JSON.parse(readFileSync(from + "package.json", "utf8"));
const licence = readFileSync(from + "LICENSE.txt", "utf8").trim();
const code = readFileSync(from + "dist/umd/index.js", "utf8").replace(/^\/\/# sourceMappingURL=.*$/m, "").trim();
writeFileSync(out, `/*\n${name} ${version} (${license})\n\n${licence}\n*/\n${code}\n`);

const hash = file => createHash("sha256").update(readFileSync(file)).digest("hex");
const sums = names => Object.fromEntries(names.map(file => [file, hash(file)]));
writeFileSync("lock.json", JSON.stringify(sums(["package.json", "package-lock.json", "build.mjs", out]), null, 2) + "\n");
