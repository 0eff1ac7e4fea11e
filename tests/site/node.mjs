// Reads a list of answers, and gives what the decision page's engine makes of each: node node.mjs <site> <node_modules>
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [site, modules] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(`${modules}/pyodide/pyodide.mjs`));
const { engine } = await import(pathToFileURL(`${site}/decide/engine.mjs`));
const { decide, review } = engine(await loadPyodide(), new Uint8Array(readFileSync(`${site}/decide/engine.zip`)));
const results = JSON.parse(readFileSync(0, "utf8")).map((given) => {
  const { answers, decision, problems, used } = decide(given);
  return { answers, decision, review: review(), problems, used };
});
console.log(JSON.stringify(results));
