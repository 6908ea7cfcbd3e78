// Cloudflare's own runtime as a server to test against.
//
// miniflare runs workerd and serves the two Durable Object listings in its "local explorer". This file serves them at
// the paths of the public API (`/client/v4/accounts/{account}/...`), requires a bearer token as the public API does,
// and lets a test create and remove objects. Responses of the listings are passed through byte for byte, because they
// are what the tests are about.
//
// One JSON line on stdout reports that the server is ready. It ends on POST /control/stop, on SIGTERM or SIGINT, and
// when stdin closes. A killed test leaves nothing behind.
//
// Keep a test below 3,000 objects in total: a listing wakes every object in it for about ten seconds, and workerd runs
// out of memory with about 3,500 awake ones.
import { Buffer } from "node:buffer";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";

const CLASSES = ["Room", "Counter"];
const SCRIPT = "fixture";
const PUBLIC_PATH = /^\/client\/v4\/accounts\/[^/?]{1,32}(\/workers\/durable_objects\/namespaces(?:[/?].*)?)$/;
const EXPLORER = "/cdn-cgi/explorer/api";
// The objects of one batch are awake at the same time; see worker.mjs.
const BATCH = 100;
// These headers belong to one connection, so a proxy must not copy them. Host must be the upstream's, because the
// explorer refuses foreign ones.
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "host"]);

const log = (message) => process.stderr.write(`${message}\n`);

const persist = await mkdtemp(join(tmpdir(), "durable-inventory-workerd-"));
const miniflare = new Miniflare({
  name: SCRIPT,
  modules: true,
  script: readFileSync(new URL("worker.mjs", import.meta.url), "utf8"),
  compatibilityDate: "2026-04-01",
  durableObjects: Object.fromEntries(CLASSES.map((className) => [className, { className, useSQLite: true }])),
  durableObjectsPersist: persist,
  unsafeLocalExplorer: true,
  // Nothing may be fetched from or reported to the network.
  cf: false,
  telemetry: { enabled: false },
  logRequests: false,
  // stdout carries only the ready line.
  handleRuntimeStdio: (stdout, stderr) => {
    stdout.pipe(process.stderr, { end: false });
    stderr.pipe(process.stderr, { end: false });
  },
});
const upstream = await miniflare.ready;

// Test harnesses send SIGKILL, which leaves no time to stop workerd. The shell waits until this process's end of the
// pipe closes, which happens however the process ends.
function guardWorkerd() {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
  const script = 'cat >/dev/null; folder=$0; kill -KILL "$@"; sleep 0.2; rm -rf "$folder"';
  return spawn("sh", ["-c", script, persist, ...children], { stdio: ["pipe", "ignore", "ignore"], detached: true });
}
// On other systems, a killed server leaves workerd running.
const guard = process.platform === "linux" ? guardWorkerd() : undefined;
// workerd may close a connection right after a response, so each request gets its own.
const agent = new http.Agent({ keepAlive: false });

function answer(response, status, body) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function refuse(response, status, code, message) {
  answer(response, status, { success: false, errors: [{ code, message }], messages: [], result: null });
}

function withoutHopByHop(rawHeaders) {
  const kept = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (!HOP_BY_HOP.has(rawHeaders[i].toLowerCase())) kept.push(rawHeaders[i], rawHeaders[i + 1]);
  }
  return kept;
}

function passThrough(request, response, path) {
  const headers = ["host", upstream.host, ...withoutHopByHop(request.rawHeaders)];
  const target = { agent, host: upstream.hostname, port: upstream.port, method: request.method, path, headers };
  const proxied = http.request(target, (answered) => {
    response.writeHead(answered.statusCode, answered.statusMessage, withoutHopByHop(answered.rawHeaders));
    answered.pipe(response);
  });
  proxied.on("error", (error) => {
    log(`workerd did not answer ${path}: ${error.message}`);
    response.destroy();
  });
  response.on("close", () => proxied.destroy());
  request.pipe(proxied);
}

async function readJson(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString() || "{}");
}

async function callWorker(operation, className, items) {
  const results = [];
  for (let start = 0; start < items.length; start += BATCH) {
    const answered = await miniflare.dispatchFetch("http://fixture/", {
      method: "POST",
      body: JSON.stringify({ operation, class: className, items: items.slice(start, start + BATCH) }),
    });
    if (!answered.ok) throw new Error(`${operation} answered ${answered.status}: ${await answered.text()}`);
    results.push(...(await answered.json()));
  }
  return results;
}

function namesOf(body) {
  if (body.names) return body.names;
  const { count = 0, prefix = "object-" } = body;
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

function checkClass(className) {
  if (!CLASSES.includes(className)) throw new Error(`class must be one of ${CLASSES.join(", ")}`);
}

async function seed(body) {
  checkClass(body.class);
  return { ids: await callWorker("seed", body.class, namesOf(body)) };
}

// The listing shows an object as long as its database file exists, and deleteAll() leaves that file. The object must
// leave memory first, because it would go on writing to the deleted file. Its files are removed after that.
async function remove(body) {
  checkClass(body.class);
  const ids = body.ids ?? (await callWorker("ids", body.class, namesOf(body)));
  if (!ids.every((id) => /^[0-9a-f]{64}$/.test(id))) throw new Error("ids must be 64 lower-case hex digits");
  await callWorker("leave", body.class, ids);
  const folder = join(persist, `${SCRIPT}-${body.class}`);
  const endings = ["", "-wal", "-shm"];
  await Promise.all(
    ids.flatMap((id) => endings.map((ending) => rm(join(folder, `${id}.sqlite${ending}`), { force: true }))),
  );
  return { ids };
}

async function control(request, response) {
  const actions = { "/control/seed": seed, "/control/remove": remove };
  const action = actions[request.url];
  if (request.method !== "POST" || !(action || request.url === "/control/stop")) {
    answer(response, 404, { error: `no such control: ${request.method} ${request.url}` });
    return;
  }
  if (!action) {
    response.on("finish", () => stop("asked to stop"));
    answer(response, 200, {});
    return;
  }
  try {
    answer(response, 200, await action(await readJson(request)));
  } catch (error) {
    log(`${request.url}: ${error.stack}`);
    answer(response, 500, { error: error.message });
  }
}

const server = http.createServer((request, response) => {
  if (request.url.startsWith("/control/")) {
    void control(request, response);
    return;
  }
  // The local explorer does not check tokens, so a client that forgets to send one would otherwise pass.
  if (!/^Bearer \S+$/.test(request.headers.authorization ?? "")) {
    refuse(response, 401, 10000, "Authentication error");
    return;
  }
  const match = PUBLIC_PATH.exec(request.url);
  if (match) passThrough(request, response, EXPLORER + match[1]);
  else refuse(response, 404, 7003, "Could not route to the requested path, perhaps your object identifier is invalid?");
});

let stopping = false;
async function stop(reason) {
  if (stopping) return;
  stopping = true;
  log(`stopping: ${reason}`);
  server.close();
  server.closeAllConnections();
  await miniflare.dispose().catch((error) => log(`workerd did not stop cleanly: ${error.message}`));
  guard?.kill();
  await rm(persist, { recursive: true, force: true, maxRetries: 3 }).catch((error) => log(error.message));
  process.exit(0);
}
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => void stop(signal));
process.stdin.on("close", () => void stop("stdin closed")).resume();

server.listen(0, "127.0.0.1", () => {
  const namespaces = CLASSES.map((className) => ({ id: `${SCRIPT}-${className}`, class: className }));
  const base_url = `http://127.0.0.1:${server.address().port}/client/v4`;
  process.stdout.write(`${JSON.stringify({ base_url, namespaces })}\n`);
});
