// Debian's Chromium, driven by puppeteer-core, for tests that are written elsewhere: a line of JSON in is one thing
// to do, and a line out is what came of it. It ends with its input, and the browser with it.
// Arguments: a folder for the browser's own files and downloads, which is removed then, and where axe-core is.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { delimiter, join } from "node:path";

// Unlike import, it looks into NODE_PATH.
const require = createRequire(import.meta.url);
const { default: puppeteer } = require("puppeteer-core");

const [profile, axeSource] = process.argv.slice(2);
const axe = readFileSync(axeSource, "utf8");
const LONGEST = 15_000;

const browser = await puppeteer.launch({
  executablePath: process.env.PATH.split(delimiter).map((folder) => join(folder, "chromium")).find(existsSync),
  headless: true,
  userDataDir: join(profile, "profile"),
  // As root there is no sandbox; nothing but our own pages is opened.
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars"],
});

let context = null;
let page = null;
// What a page must never give rise to: errors, requests to other hosts, dialogs.
let problems = [];

async function fresh({ javascript, host }) {
  await context?.close();
  context = await browser.createBrowserContext();
  page = await context.newPage();
  page.setDefaultTimeout(LONGEST);
  problems = [];
  await page.setJavaScriptEnabled(javascript);
  await doing.look({ width: 1280, scheme: "light" });
  page.on("console", (message) => {
    if (["error", "warn", "issue"].includes(message.type())) problems.push(`${message.type()}: ${message.text()} (${message.location()?.url ?? ""})`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.host !== host) problems.push(`request: ${request.url()}`);
  });
  page.on("popup", () => problems.push("popup"));
  const session = await page.createCDPSession();
  await session.send("Audits.enable");
  session.on("Audits.issueAdded", ({ issue }) => {
    if (issue.code === "ContentSecurityPolicyIssue") problems.push(`csp: ${JSON.stringify(issue.details)}`);
  });
  await session.send("Browser.setDownloadBehavior", { behavior: "allow", downloadPath: profile, browserContextId: context.id });
}

// Whatever is true of the page, also while it is being loaded anew.
async function until({ script, within }) {
  const start = Date.now();
  let last = null;
  for (;;) {
    try {
      const value = await page.evaluate(script);
      if (value) return { value, after: Date.now() - start };
      last = value;
    } catch (error) {
      last = error.message;
    }
    if (Date.now() - start > within) throw new Error(`not within ${within} ms: ${script}: ${last}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const doing = {
  fresh,
  until,
  go: async ({ url }) => (await page.goto(url, { waitUntil: "load" }))?.status() ?? 0,
  evaluate: ({ script }) => page.evaluate(script),
  click: ({ selector }) => page.click(selector),
  follow: async ({ selector }) => {
    const [answer] = await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.click(selector)]);
    return answer?.status() ?? 0;
  },
  press: ({ key }) => page.keyboard.press(key),
  write: ({ text }) => page.keyboard.type(text),
  look: async ({ width, scheme }) => {
    await page.setViewport({ width, height: 900 });
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ]);
  },
  axe: async () => {
    if (!(await page.evaluate("typeof axe === 'object'"))) await page.evaluate(`${axe};0`);
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
    const found = await page.evaluate(`axe.run(document, ${JSON.stringify({ runOnly: tags, resultTypes: ["violations"] })})`);
    return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target}: ${node.failureSummary}`));
  },
  shot: async ({ path, whole }) => void (await page.screenshot({ path, fullPage: whole })),
  problems: () => problems.splice(0),
  cookies: () => context.cookies(),
};

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...how } = JSON.parse(line);
  let told;
  try {
    told = { ok: (await doing[act](how)) ?? null };
  } catch (error) {
    told = { failed: error.message };
  }
  process.stdout.write(`${JSON.stringify(told)}\n`);
}
await browser.close();
// The tests are over by now, and cannot.
rmSync(profile, { recursive: true, force: true });
