// Pictures of pages: node pictures.mjs <node_modules> <chromium> <folder> "<name> <height> <address>" ...
import { pathToFileURL } from "node:url";

const [modules, program, folder, ...pages] = process.argv.slice(2);
const { chromium } = await import(pathToFileURL(`${modules}/playwright-core/index.mjs`));
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
try {
  for (const [name, height, address] of pages.map((page) => page.split(" "))) {
    const page = await browser.newPage({ viewport: { width: 1200, height: Number(height) }, colorScheme: "light" });
    await page.goto(address, { waitUntil: "load" });
    await page.waitForLoadState("networkidle", { timeout: 10_000 }).catch(() => {}); // some pages never rest
    await page.waitForFunction(() => !document.querySelector("progress, [aria-busy=true]"), null, { timeout: 60_000 });
    await page.waitForTimeout(3000); // charts are drawn
    await page.screenshot({ path: `${folder}/${name}.png`, animations: "disabled" });
  }
} finally {
  await browser.close();
}
