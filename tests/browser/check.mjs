// node check.mjs PAGE [SCREENSHOTS]: opens a report's page in the machine's Chromium, wide and on a phone, light and
// dark, with a pointer, a finger, a keyboard and without scripts. Exits with 1 at the first failure. SCREENSHOTS is a
// folder.

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";

const [page_file, screenshots] = process.argv.slice(2);
const url = pathToFileURL(resolve(page_file)).href;

const runs = (path) => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};
const executablePath = (process.env.PATH ?? "")
  .split(":")
  .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)))
  .find(runs);
assert(executablePath, "Chromium is missing: scripts/prerequisites chromium");

const browser = await chromium.launch({
  executablePath,
  // Chromium has no sandbox for root, which containers often use.
  args: process.getuid() === 0 ? ["--no-sandbox"] : [],
});

// A page that records every request for another URL, every log message and every exception.
const opened = async (options) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const noise = [];
  page.on("request", (request) => request.url() === url || noise.push(`asked for ${request.url()}`));
  page.on("console", (message) => noise.push(`logged: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`threw: ${error}`));
  page.on("dialog", (dialog) => noise.push(`said: ${dialog.message()}`));
  await page.goto(url);
  return { context, page, noise };
};

const tip = (page) => page.locator("#tip");

// The tip shows this day and the same values as the chart's table, if the table has that day.
const tells = async (page, figure, date) => {
  await tip(page).waitFor({ state: "visible" });
  const said = await tip(page).locator(".date, b").allTextContents();
  assert.equal(said.length, 5);
  if (date) assert.equal(said[0], date);
  const table = page.locator(`#${await figure.getAttribute("data-table")}`);
  const row = table.locator("tbody tr", { hasText: said[0] });
  if (await row.count()) assert.deepEqual(said, await row.locator("th, td").allTextContents());
  const box = await tip(page).boundingBox();
  const { width } = page.viewportSize();
  assert(box.x >= 0 && box.x + box.width <= width, "the tip stays in sight");
};

const charts = async (page, touch) => {
  const figure = page.locator("figure.chart").first();
  const handle = figure.locator(".handle");
  const box = await handle.boundingBox();
  const days = Number(await figure.getAttribute("data-days"));
  const last = await figure.locator(".axis span").last().textContent();
  const first = await figure.locator(".axis").last().locator("span").first().textContent();

  // With the keyboard alone.
  for (let presses = 0; presses < 3; presses += 1) {
    await page.keyboard.press("Tab");
    if (await handle.evaluate((element) => element === document.activeElement)) break;
  }
  await tells(page, figure, null);
  await page.keyboard.press("End");
  await tells(page, figure, last);
  await page.keyboard.press("ArrowLeft");
  await tells(page, figure, null);
  assert.equal(await handle.getAttribute("aria-valuenow"), String(days - 1));
  await page.keyboard.press("Home");
  await tells(page, figure, first);
  assert((await handle.getAttribute("aria-valuetext")).startsWith(`${first}: `));
  await page.keyboard.press("Escape");
  await tip(page).waitFor({ state: "hidden" });
  await handle.evaluate((element) => element.blur());

  // With a pointer or a finger.
  for (const [x, date] of [[1, first], [box.width / 2, null], [box.width - 1, last]]) {
    if (touch) await page.touchscreen.tap(box.x + x, box.y + 30);
    else await page.mouse.move(box.x + x, box.y + 30);
    await tells(page, figure, date);
  }
  if (!touch) {
    await page.mouse.move(box.x, box.y + box.height + 200);
    await tip(page).waitFor({ state: "hidden" });
  }
};

for (const width of [1280, 375]) {
  for (const colorScheme of ["light", "dark"]) {
    const touch = width < 500;
    const { context, page, noise } = await opened({
      viewport: { width, height: 900 },
      colorScheme,
      hasTouch: touch,
      isMobile: touch,
    });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(wide <= width, `${wide} pixels on a screen of ${width}`);
    if (screenshots) await page.screenshot({ path: join(screenshots, `${width}-${colorScheme}.png`), fullPage: true });
    await charts(page, touch);
    // Closed tables must fit the screen, too.
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    const opened_wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert(opened_wide <= width, `${opened_wide} pixels with open tables on a screen of ${width}`);
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run());
    const told = violations.map((violation) => [violation.id, violation.nodes.slice(0, 3).map((node) => node.html)]);
    assert.deepEqual(told, [], `${width}, ${colorScheme}`);
    assert.deepEqual(noise, [], `${width}, ${colorScheme}`);
    await context.close();
  }
}

// The content security policy makes an injected script or picture useless.
{
  const { context, page } = await opened({});
  const scripts = await page.locator("script").count();
  assert.equal(scripts, 1, "the page's own script");
  const handlers = await page.evaluate(() =>
    [...document.querySelectorAll("*")].flatMap((element) =>
      element.getAttributeNames().filter((name) => name.startsWith("on") || name === "style")));
  assert.deepEqual(handlers, [], "a name became an attribute");
  let asked = 0;
  const elsewhere = createServer((_, answer) => answer.end(String((asked += 1))));
  await new Promise((listening) => elsewhere.listen(0, "127.0.0.1", listening));
  const refused = await page.evaluate(async (picture) => {
    const refused = [];
    document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
    document.body.append(Object.assign(document.createElement("script"), { textContent: "window.hacked = 1" }));
    document.body.append(Object.assign(new Image(), { src: picture }));
    const style = document.createElement("style");
    style.textContent = "body { display: none }";
    document.body.append(style);
    // Waits for all three violations, however long they take.
    while (refused.length < 3) await new Promise((told) => document.addEventListener("securitypolicyviolation", told));
    return [refused.sort(), window.hacked === undefined, getComputedStyle(document.body).display];
  }, `http://127.0.0.1:${elsewhere.address().port}/picture`);
  elsewhere.close();
  assert.deepEqual(refused, [["img-src", "script-src-elem", "style-src-elem"], true, "block"]);
  assert.equal(asked, 0, "nothing left the page");
  await context.close();
}

// Every number is readable without scripts.
{
  const { context, page, noise } = await opened({ javaScriptEnabled: false });
  assert.equal(await page.locator(".handle").count(), 0);
  const total = await page.locator("table.namespaces tfoot td").first().textContent();
  assert.equal(await page.locator(".figure.main strong").textContent(), total);
  await page.locator("summary").first().click();
  const days = page.locator("#total-days");
  await days.waitFor({ state: "visible" });
  assert.equal(await days.locator("tbody tr").last().locator("td").first().textContent(), total);
  for (const table of await page.locator("table").all()) {
    assert.equal(await table.locator("caption").count(), 1);
    assert.equal(await table.locator("th:not([scope])").count(), 0);
  }
  assert.deepEqual(noise, []);
  await context.close();
}

await browser.close();
