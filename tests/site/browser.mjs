// Drives the decision page in Chromium: node browser.mjs <address> <node_modules> <chromium>, a list of answers on standard input.
// Gives what the page shows for each, and what it was asked of other hosts.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [address, modules, program] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(`${modules}/playwright-core/index.mjs`));
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
const all = JSON.parse(readFileSync(0, "utf8"));
const seen = { shown: [], elsewhere: [], errors: [], widths: {} };
try {
  const page = await (
    await browser.newContext({ viewport: { width: 390, height: 844 }, acceptDownloads: true })
  ).newPage();
  page.on("request", (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith("blob:")) seen.elsewhere.push(request.url());
  });
  page.on("pageerror", (error) => seen.errors.push(error.message));
  await page.goto(`${address}/decide/`, { waitUntil: "domcontentloaded" });
  seen.questionsBeforeEngine = await page.locator("fieldset:visible").count();
  seen.progress = await page.locator("#decide-status progress").count();
  await shownFor({});
  seen.widths = await page.evaluate(() => ({ page: document.documentElement.scrollWidth, window: innerWidth }));

  // By keyboard alone: the first question's second answer.
  await page.locator("fieldset input").first().focus();
  await page.keyboard.press("ArrowDown");
  await shownFor({ pipeline_shape: "data_products" });
  seen.keyboard = await page.locator("#decide-status").textContent();
  seen.link = page.url();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download the record" }).click();
  seen.record = readFileSync(await (await download).path(), "utf8");
  await page.getByRole("button", { name: "Start again" }).click();
  await shownFor({});
  seen.linkAgain = page.url();

  for (const given of all) {
    const link = new URLSearchParams(Object.entries(given).map(([name, value]) => [name, [value].flat().join(",")]));
    await page.evaluate((hash) => {
      location.hash = hash;
    }, `${link}`);
    await shownFor(given);
    seen.shown.push(await page.evaluate(read));
  }

  async function shownFor(given) {
    const count = Object.keys(given).length;
    await page.waitForFunction(
      (wanted) => {
        const answers = document.getElementById("decide-result").dataset.answers;
        if (answers === undefined) return false;
        const shown = JSON.parse(answers);
        return (
          Object.keys(shown).length === wanted.count &&
          Object.entries(wanted.given).every(([name, value]) => JSON.stringify(shown[name]) === JSON.stringify(value))
        );
      },
      { given, count },
      { timeout: 60_000 },
    );
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

/** What a person sees, in the browser. */
function read() {
  const text = (selector) => [...document.querySelectorAll(selector)].map((each) => each.textContent);
  const section = (title) =>
    [...document.querySelectorAll("#decide-result section")].find(
      (each) => each.querySelector("h3").textContent === title,
    );
  const within = (title, selector) =>
    [...(section(title)?.querySelectorAll(selector) ?? [])].map((each) => each.textContent);
  const rows = (title) =>
    [...(section(title)?.querySelectorAll("tbody tr") ?? [])].map((row) => [
      row.querySelector("th").firstChild.textContent,
      row.lastElementChild.textContent,
    ]);
  return {
    headline: document.getElementById("decide-headline").textContent,
    reasons: text("#decide-result > ul > li"),
    scores: rows("Scores"),
    out: within("Ruled out", "dd"),
    cautions: within("Cautions", "li"),
    costs: rows("Two years, US dollars"),
    changes: within("What would change it", "button").sort(),
    problems: text("#decide-form .decide-problem").filter(Boolean),
    command: document.getElementById("decide-command")?.textContent,
  };
}
