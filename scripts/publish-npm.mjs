// node scripts/publish-npm.mjs FOLDER: publishes the npm packages in the folder, those for one platform first and the
// main one last, so that nobody can install it before its parts exist. A repeated call skips what is published already.
//
// Before anything is published, it checks that all packages belong together, because npm never takes a version twice.

import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, resolve } from "node:path";

const MAIN = "durable-inventory";
const SCOPE = `@${MAIN}/`;

const fail = (message) => {
  console.error(message);
  process.exit(1);
};

const [folder] = process.argv.slice(2);
if (!folder) fail("usage: node scripts/publish-npm.mjs FOLDER");

const packages = readdirSync(folder)
  .filter((name) => name.endsWith(".tgz"))
  .map((name) => {
    const file = join(folder, name);
    return { file, manifest: JSON.parse(execFileSync("tar", ["-xzOf", file, "package/package.json"])) };
  });

const main = packages.find(({ manifest }) => manifest.name === MAIN);
if (!main) fail(`${folder} has no package ${MAIN}.`);
const parts = packages.filter((one) => one !== main);

const required = Object.entries(main.manifest.optionalDependencies ?? {}).filter(([name]) => name.startsWith(SCOPE));
for (const [name, version] of required) {
  if (!parts.some(({ manifest }) => manifest.name === name && manifest.version === version)) {
    fail(`${MAIN} needs ${name} ${version}, which is not in ${folder}.`);
  }
}
for (const { manifest } of parts) {
  if (!required.some(([name]) => name === manifest.name)) {
    fail(`${MAIN} does not need ${manifest.name} ${manifest.version}, which is in ${folder}.`);
  }
}

// npm refuses provenance for a package that does not name the repository it was built in.
const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: repository } = process.env;
if (repository) {
  const home = `${server}/${repository}`;
  for (const { manifest } of packages) {
    const url = manifest.repository?.url ?? manifest.repository ?? "";
    if (url.replace(/^git\+/, "").replace(/\.git$/, "") !== home) {
      fail(`${manifest.name} names the repository "${url}" in its package.json; it has to be "git+${home}.git".`);
    }
  }
}

const isPublished = (name, version) => {
  const { status, stdout, stderr } = spawnSync("npm", ["view", "--json", `${name}@${version}`, "version"], {
    encoding: "utf8",
  });
  if (status === 0) return stdout.trim() !== "";
  if (stdout.includes("E404")) return false;
  return fail(`npm could not be asked for ${name} ${version}:\n${stdout}${stderr}`);
};

for (const { file, manifest } of [...parts, main]) {
  const { name, version } = manifest;
  if (isPublished(name, version)) {
    console.log(`${name} ${version} is published already.`);
    continue;
  }
  // Without a tag of its own, a version such as 1.0.0-rc.1 would become the one that everybody gets.
  const tag = version.includes("-") ? "next" : "latest";
  // A name without a folder in front would be one of the registry.
  const { status } = spawnSync("npm", ["publish", resolve(file), "--access", "public", "--tag", tag], {
    stdio: "inherit",
  });
  if (status !== 0) fail(`${name} ${version} was not published: the reason is above.`);
  console.log(`${name} ${version} is published.`);
}
