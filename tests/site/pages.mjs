// Opens every page in Chromium on a phone and on a desktop, light and dark: node pages.mjs <address> <node_modules> <chromium>, the
// paths of the pages on standard input. Gives what is wider than the window, how legible the text is, and errors; and a file of an example.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [address, modules, program] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(`${modules}/playwright-core/index.mjs`));
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
const paths = JSON.parse(readFileSync(0, "utf8"));
const seen = { pages: [], errors: [], example: {} };
try {
  for (const [width, height] of [
    [390, 844],
    [1280, 800],
  ]) {
    const page = await (await browser.newContext({ viewport: { width, height } })).newPage();
    page.on("pageerror", (error) => seen.errors.push(`${page.url()}: ${error.message}`));
    page.on("response", (answer) => {
      if (answer.status() >= 400) seen.errors.push(`${page.url()}: ${answer.status()} ${answer.url()}`);
    });
    for (const colorScheme of ["dark", "light"]) {
      await page.emulateMedia({ colorScheme });
      for (const path of paths) {
        await page.goto(`${address}/${path}`, { waitUntil: "load" });
        seen.pages.push({ path, width, colorScheme, ...(await page.evaluate(look)) });
      }
    }
    await page.goto(`${address}/examples/`);
    const example = page.locator("details[data-example]").first();
    await example.locator("summary").first().focus();
    await page.keyboard.press("Enter");
    const link = example.locator("> ul > li > a", { hasText: "Makefile" });
    await link.click();
    const view = page.locator("#example-file[data-shown]");
    seen.example[width] = { text: await view.locator("pre").textContent(), inView: await inView(view.locator("h2")) };
    const again = await page.context().newPage();
    await again.goto(page.url());
    seen.example[width].linked = await again.locator("#example-file[data-shown] h2").textContent();
    seen.example[width].opened = await again.locator("a[aria-current]").isVisible();
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));

async function inView(locator) {
  const box = await locator.boundingBox();
  return box.y >= 0 && box.y < (await locator.page().viewportSize()).height;
}

/** Contrast of the first paragraph with its page, how dark the page is, and what is too wide, in the browser. */
function look() {
  const luminance = (color) => {
    const parts = color.match(/[\d.]+/g).map(Number);
    const [red, green, blue] = parts
      .slice(0, 3)
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const back = luminance(getComputedStyle(document.body).backgroundColor);
  const text = getComputedStyle(document.querySelector("article p, article li, article td")).color;
  // Text that is partly transparent is as dark as what shines through lets it be.
  const alpha = Number(text.match(/[\d.]+/g)[3] ?? 1);
  const front = alpha * luminance(text) + (1 - alpha) * back;
  const [low, high] = [front, back].sort((one, other) => one - other);
  return {
    contrast: (high + 0.05) / (low + 0.05),
    dark: back < 0.2,
    tooWide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  };
}
