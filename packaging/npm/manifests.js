// node manifests.js PLATFORM MAIN OF_PLATFORM: writes the package.json of both npm packages. Everything that Cargo.toml
// says, too, is taken from there.
"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const [platform, main, ofPlatform] = process.argv.slice(2);
const cargo = path.join(__dirname, "../../Cargo.toml");
const metadata = execFileSync("cargo", ["metadata", "--format-version=1", "--no-deps", "--manifest-path", cargo]);
const crate = JSON.parse(metadata).packages.find(({ name }) => name === "durable-inventory");

const common = { version: crate.version, description: crate.description, license: crate.license };
// Set by the release workflow: npm compares it with the repository that the provenance names.
if (process.env.REPOSITORY_URL) common.repository = { type: "git", url: `git+${process.env.REPOSITORY_URL}.git` };

function write(file, manifest) {
  fs.writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}

const template = JSON.parse(fs.readFileSync(path.join(__dirname, "package.json")));
for (const name of Object.keys(template.optionalDependencies)) {
  if (name.startsWith("@durable-inventory/")) template.optionalDependencies[name] = crate.version;
}
write(main, { ...template, ...common, keywords: crate.keywords });

const [os, cpu] = platform.split("-");
write(ofPlatform, {
  name: `@durable-inventory/${platform}`,
  ...common,
  os: [os],
  cpu: [cpu],
  // Other C libraries can't run it.
  ...(os === "linux" && { libc: ["glibc"] }),
  // Yarn would keep the program inside a zip file, where it can't be run.
  preferUnplugged: true,
  files: ["bin", "LICENSE-*"],
});
