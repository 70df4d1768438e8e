// Asks the policy sidecar for one decision and prints allow or deny. Whatever goes wrong is a denial.
//
//     node ask.mjs PATH INPUT
//
// It exits with 0 for allow, 1 for deny, and 2 where nothing was decided, which is printed as deny as well.
import { readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import { homedir } from "node:os";
import { join } from "node:path";

const patience = 2000; // milliseconds for a decision, which takes less than one
const maxAnswerBytes = 1 << 20;

// find looks for the sidecar as its commands do: at the address that the environment names, else at the one in gateway.json,
// and first at the Unix socket in the data directory, where a process of the same user needs no token.
function find(env) {
  const home = env.DEFENSECLAW_HOME || join(homedir(), ".defenseclaw");
  const token = env.DEFENSECLAW_GATEWAY_TOKEN || "";
  if (env.DEFENSECLAW_API_SOCKET) return { socketPath: env.DEFENSECLAW_API_SOCKET, token };
  if (env.DEFENSECLAW_API_PORT && env.DEFENSECLAW_API_PORT !== "0") {
    return overTCP(env.DEFENSECLAW_API_BIND || "127.0.0.1", env.DEFENSECLAW_API_PORT, home, token);
  }
  let published;
  try {
    published = JSON.parse(readFileSync(join(home, "gateway.json"), "utf8"));
  } catch (err) {
    throw new Error(`no sidecar runs with the data directory ${home}: ${err.message}`);
  }
  const local = join(home, "sidecar.sock");
  if (statSync(local, { throwIfNoEntry: false })?.isSocket()) return { socketPath: local, token };
  if (published.api_addr.startsWith("unix:")) return { socketPath: published.api_addr.slice("unix:".length), token };
  if (published.tls_cert) throw new Error("the sidecar speaks TLS, which this example does not");
  const colon = published.api_addr.lastIndexOf(":");
  return overTCP(published.api_addr.slice(0, colon), published.api_addr.slice(colon + 1), home, token);
}

function overTCP(host, port, home, token) {
  token ||= tokenIn(join(home, ".env"));
  if (!token) throw new Error("there is no token in DEFENSECLAW_GATEWAY_TOKEN nor in .env in the data directory");
  return { host: host.replace(/^\[|\]$/g, ""), port, token };
}

// tokenIn reads the token that the first start made.
function tokenIn(path) {
  try {
    return /^DEFENSECLAW_GATEWAY_TOKEN=["']?([^"'\r\n]*)/m.exec(readFileSync(path, "utf8"))?.[1] ?? "";
  } catch {
    return "";
  }
}

// post sends a body and returns the status and the text of the answer.
function post({ token, ...to }, path, body) {
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  if (token) headers.Authorization = `Bearer ${token}`;
  return new Promise((resolve, reject) => {
    const req = request({ ...to, path, method: "POST", headers, signal: AbortSignal.timeout(patience) }, (res) => {
      let text = "";
      res.setEncoding("utf8");
      res.on("data", (part) => {
        text += part;
        if (text.length > maxAnswerBytes) req.destroy(new Error("the answer is too long"));
      });
      res.on("end", () => resolve({ status: res.statusCode, text }));
      res.on("error", reject);
    });
    req.on("error", reject);
    req.end(body);
  });
}

// ask returns whether the document at path is true for the input. False and undefined are denials, anything else is thrown.
export async function ask(path, input) {
  const route = "/v1/data/" + path.split("/").map(encodeURIComponent).join("/");
  const { status, text } = await post(find(process.env), route, JSON.stringify({ input }));
  if (status !== 200) {
    // such as 401, a wrong token, and 503, no policy or too many decisions at once
    throw new Error(`the sidecar answered ${status}: ${text.trim()}`);
  }
  const answer = JSON.parse(text);
  if (answer === null || typeof answer !== "object" || Array.isArray(answer)) throw new Error("the answer is not one of the sidecar");
  const { result = false } = answer; // left out where the document is undefined
  if (typeof result !== "boolean") throw new Error(`${path} is neither true nor false`);
  return result;
}

if (process.argv.length !== 4) {
  console.error(`usage: node ask.mjs PATH INPUT, such as: node ask.mjs orders/allow '{"role": "clerk", "amount": 40}'`);
  process.exitCode = 2;
} else {
  try {
    const allowed = await ask(process.argv[2], JSON.parse(process.argv[3]));
    console.log(allowed ? "allow" : "deny");
    process.exitCode = allowed ? 0 : 1;
  } catch (err) {
    console.log("deny");
    console.error("not decided:", err.message);
    process.exitCode = 2;
  }
}
