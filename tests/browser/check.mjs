// node check.mjs PAGE [PAGE...]: opens a report's page in the machine's Chromium, wide and on a phone, light and dark,
// with a pointer, a finger, a keyboard and without scripts; further pages are only looked at. Exits with 1 at the first
// failure. REPORT_SCREENSHOTS is a folder for pictures.

import assert from "node:assert/strict";
import { accessSync, constants } from "node:fs";
import { createServer } from "node:http";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";

const screenshots = process.env.REPORT_SCREENSHOTS;
const [url, ...others] = process.argv.slice(2).map((file) => pathToFileURL(resolve(file)).href);

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
const opened = async (options, url) => {
  // A page that still scrolls would move away from the pointer.
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const noise = [];
  page.on("request", (request) => request.url() === url || noise.push(`asked for ${request.url()}`));
  page.on("console", (message) => noise.push(`logged: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`threw: ${error}`));
  page.on("dialog", (dialog) => noise.push(`said: ${dialog.message()}`));
  await page.goto(url);
  return { context, page, noise };
};

const MOST_ELEMENTS = 10000;
const tip = (page) => page.locator("#tip");

// The tip shows this day and the same values as the chart's table, if the table has that day.
const tells = async (page, table, date) => {
  await tip(page).waitFor({ state: "visible" });
  const shown = await tip(page).locator(".date, b").allTextContents();
  assert.equal(shown.length, 5);
  if (date) assert.equal(shown[0], date);
  const row = table.locator("tbody tr", { hasText: shown[0] });
  if (await row.count()) assert.deepEqual(shown, await row.locator("th, td").allTextContents());
  const box = await tip(page).boundingBox();
  const { width } = page.viewportSize();
  assert(box.x >= 0 && box.x + box.width <= width, "the tip stays in sight");
};

// A chart with the table of its numbers: by keyboard, and by pointer or finger.
const chart = async (page, figure, table, touch) => {
  const handle = figure.locator(".handle");
  await handle.scrollIntoViewIfNeeded();
  const box = await handle.boundingBox();
  const { days, first } = await page.locator("#packed").evaluate((data) => ({ ...data.dataset }));
  const last = new Date(Date.parse(first) + (days - 1) * 86400000).toISOString().slice(0, 10);

  for (let presses = 0; presses < 300; presses += 1) {
    await page.keyboard.press("Tab");
    if (await handle.evaluate((element) => element === document.activeElement)) break;
  }
  await tells(page, table, null);
  await page.keyboard.press("End");
  await tells(page, table, last);
  await page.keyboard.press("ArrowLeft");
  await tells(page, table, null);
  assert.equal(await handle.getAttribute("aria-valuenow"), String(days - 1));
  await page.keyboard.press("Home");
  await tells(page, table, first);
  assert((await handle.getAttribute("aria-valuetext")).startsWith(`${first}: `));
  await page.keyboard.press("Escape");
  await tip(page).waitFor({ state: "hidden" });
  await handle.evaluate((element) => element.blur());

  for (const [x, date] of [[1, first], [box.width / 2, null], [box.width - 1, last]]) {
    await handle.scrollIntoViewIfNeeded();
    const now = await handle.boundingBox();
    if (touch) await page.touchscreen.tap(now.x + x, now.y + 30);
    else await page.mouse.move(now.x + x, now.y + 30);
    await tells(page, table, date);
  }
  if (!touch) {
    await page.mouse.move(1, 1);
    await tip(page).waitFor({ state: "hidden" });
  }
};

// What the script draws below a row is what the page has in the namespace's card.
const drawn_alike = async (page) => {
  const parts = (figure) =>
    figure.evaluate((element) => [
      element.dataset.of,
      ...[...element.querySelectorAll("path, line")].flatMap((part) => [...part.attributes].map((one) => one.value)),
      ...[...element.querySelectorAll("text")].map((text) => text.textContent),
    ]);
  const cards = await page.locator(".card figure.chart").all();
  assert.equal(cards.length, 12);
  for (const card of cards) {
    const row = page.locator(`tr[data-series="${await card.getAttribute("data-series")}"]`);
    await row.locator("button.trend").click();
    assert.deepEqual(await parts(page.locator("tr.charted figure.chart")), await parts(card));
    await row.locator("button.trend").click();
    assert.equal(await page.locator("tr.charted").count(), 0);
  }
};

const seen = (page) =>
  page.locator("table.namespaces tbody:not(.total) tr").evaluateAll((rows) =>
    rows.filter((row) => row.offsetHeight > 0).map((row) => [...row.cells].map((cell) => cell.textContent.trim())));

const number = (text) => (text === "\u2013" ? null : Number(text.replace(/,/g, "").replace("\u2212", "-")));

const sorted = async (page) => {
  const before = await seen(page);
  await page.getByRole("button", { name: "Objects" }).click();
  const down = (await seen(page)).map((row) => number(row[1]));
  await page.getByRole("button", { name: "Objects" }).click();
  const up = (await seen(page)).map((row) => number(row[1]));
  const known = (all) => all.filter((n) => n !== null);
  assert.deepEqual(known(down), known(down).sort((a, b) => b - a));
  assert.deepEqual(known(up), known(up).sort((a, b) => a - b));
  assert.equal(up.at(-1), null, "what is unknown comes last");
  await page.getByRole("button", { name: "Namespace" }).click();
  const names = (await seen(page)).map((row) => row[0].toLowerCase());
  assert.deepEqual(names, [...names].sort((a, b) => a.localeCompare(b)));
  assert.equal(names.length, before.length);
  const total = await page.locator("table.namespaces tbody").first().getAttribute("class");
  assert.equal(total, "total", "the total stays on top");
};

const filtered = async (page) => {
  const all = (await seen(page)).length;
  const input = page.getByRole("searchbox");
  await input.fill("CART shop");
  assert.equal((await seen(page)).length, 1);
  assert.match(await page.getByRole("status").textContent(), /^1 of \d+$/);
  await input.fill("no such name");
  assert.equal((await seen(page)).length, 0);
  await input.fill("");
  assert.equal((await seen(page)).length, all);
};

for (const width of [1280, 375]) {
  for (const colorScheme of ["light", "dark"]) {
    const touch = width < 500;
    const options = { viewport: { width, height: 900 }, colorScheme, hasTouch: touch, isMobile: touch };
    const { context, page, noise } = await opened(options, url);
    await page.locator(".handle").last().waitFor({ state: "attached" });
    const fits = async (what) => {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert(wide <= width, `${wide} pixels on a screen of ${width}: ${what}`);
    };
    await fits("as it opens");
    if (screenshots) await page.screenshot({ path: join(screenshots, `${width}-${colorScheme}.png`), fullPage: true });
    const total = page.locator("figure.chart").first();
    await page.locator("summary", { hasText: "Numbers by day" }).first().click();
    await chart(page, total, page.locator("table.days").first(), touch);
    await drawn_alike(page);
    await sorted(page);
    await filtered(page);
    // One that has no card, with a hostile name.
    const row = page.locator("tr[data-series]:not(:has(th > a[href^='#']))").first();
    await row.locator("button.trend").click();
    await page.locator("tr.charted summary").click();
    const below = page.locator("tr.charted");
    await chart(page, below.locator("figure"), below.locator("table.days"), touch);
    // Closed tables must fit the screen, too.
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    await page.locator(".card table.days").last().waitFor({ state: "visible" });
    await fits("with all open");
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => window.axe.run());
    const found = violations.map((violation) => [violation.id, violation.nodes.slice(0, 3).map((node) => node.html)]);
    assert.deepEqual(found, [], `${width}, ${colorScheme}`);
    assert.equal(await page.locator("img, script:not(body > script), h1 ~ h1").count(), 0, "a name became an element");
    assert.deepEqual(noise, [], `${width}, ${colorScheme}`);
    await context.close();
  }
}

// A command is copied as it is.
{
  const { context, page } = await opened({ permissions: ["clipboard-read", "clipboard-write"] }, url);
  const command = page.locator("code.command").first();
  await page.getByRole("button", { name: "Copy" }).first().click();
  await page.getByRole("button", { name: "Copied" }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), await command.textContent());
  await context.close();
}

// The content security policy makes an injected script or picture useless.
{
  const { context, page } = await opened({}, url);
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
  const { context, page, noise } = await opened({ javaScriptEnabled: false }, url);
  assert.equal(await page.locator(".handle, button, input[type=search]").count(), 0);
  assert.equal(await page.locator("figure.chart").count(), 13);
  const total = await page.locator("table.namespaces .total td").first().textContent();
  assert.equal(await page.locator(".figure.main strong").textContent(), total);
  await page.locator("summary", { hasText: "Numbers by day" }).click();
  const days = page.locator("table.days");
  await days.waitFor({ state: "visible" });
  assert.equal(await days.locator("tbody tr").last().locator("td").first().textContent(), total);
  for (const table of await page.locator("table").all()) {
    assert.equal(await table.locator("caption").count(), 1);
    assert.equal(await table.locator("th:not([scope])").count(), 0);
  }
  assert.deepEqual(noise, []);
  await context.close();
}

// Accounts of other sizes and ages: nothing is wider than the screen, and previews open with and without scripts.
for (const other of others) {
  for (const width of [1280, 375]) {
    for (const colorScheme of ["light", "dark"]) {
      const what = `${basename(other, ".html")}, ${width}, ${colorScheme}`;
      const { context, page, noise } = await opened({ viewport: { width, height: 900 }, colorScheme }, other);
      const charts = await page.locator("figure.chart").count();
      if (charts > 0) await page.locator(".handle").last().waitFor({ state: "attached" });
      const [wide, elements] = await page.evaluate(() =>
        [document.documentElement.scrollWidth, document.querySelectorAll("*").length]);
      assert(wide <= width, `${wide} pixels: ${what}`);
      assert(elements < MOST_ELEMENTS, `${elements} elements: ${what}`);
      const broken = await page.locator("td.n, strong").evaluateAll((cells) =>
        cells.filter((cell) => cell.offsetHeight > 0 && [...cell.getClientRects()].length > 1).length);
      assert.equal(broken, 0, `figures break: ${what}`);
      if (screenshots) {
        const path = join(screenshots, `${basename(other, ".html")}-${width}-${colorScheme}.png`);
        await page.screenshot({ path, fullPage: true });
      }
      assert.deepEqual(noise, [], what);
      await context.close();
    }
  }
  for (const javaScriptEnabled of [true, false]) {
    const { context, page } = await opened({ javaScriptEnabled }, other);
    const group = page.locator("tr.group input");
    if (await group.count()) {
      const closed = (await seen(page)).length;
      await group.first().check();
      assert((await seen(page)).length > closed + 100, "previews open");
    }
    await context.close();
  }
}

await browser.close();
