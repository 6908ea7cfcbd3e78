// Cloudflare's own runtime as a server to test against.
//
// miniflare runs workerd and serves the two Durable Object listings in its "local explorer". This file puts them where the
// public API has them (`/client/v4/accounts/{account}/...`), asks for a bearer token as the public API does, and lets a
// test create and remove objects. Answers of the listings pass through byte for byte: they are the point of the exercise.
//
// One JSON line on stdout says that it is ready. It ends on POST /control/stop, on SIGTERM or SIGINT, and when stdin
// closes. A test that was killed leaves nothing behind.
//
// Keep a test below 3,000 objects in all: a listing wakes every object that it lists, for about ten seconds, and with some
// 3,500 awake workerd runs out of memory.
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
// Objects of one batch are awake at the same time; see worker.mjs.
const BATCH = 100;
// They hold for one connection, so a proxy must not copy them. Host is the upstream's: the explorer refuses foreign ones.
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
  // stdout carries the ready line only.
  handleRuntimeStdio: (stdout, stderr) => {
    stdout.pipe(process.stderr, { end: false });
    stderr.pipe(process.stderr, { end: false });
  },
});
const upstream = await miniflare.ready;

// SIGKILL leaves no time to stop workerd, and it is what test harnesses send. The shell waits for this process's end of the
// pipe to close, which every way to die brings about.
function guardWorkerd() {
  const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ");
  const script = 'cat >/dev/null; folder=$0; kill -KILL "$@"; sleep 0.2; rm -rf "$folder"';
  return spawn("sh", ["-c", script, persist, ...children], { stdio: ["pipe", "ignore", "ignore"], detached: true });
}
// Elsewhere than on Linux, a killed server leaves workerd to whoever killed it.
const guard = process.platform === "linux" ? guardWorkerd() : undefined;
// workerd may close a connection that it has just answered on: each request gets one of its own.
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

// The listing shows an object for as long as its database file exists, and deleteAll() leaves that file. So the object
// has to leave memory first (it would go on writing to a file without a name), then its files go.
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
  // The local explorer knows no tokens; a client that forgets to send one must not pass.
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
