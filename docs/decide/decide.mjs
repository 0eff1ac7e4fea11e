// The page around the engine: reads the form, keeps the answers in the link, shows what the worker says. It decides nothing.

const form = document.getElementById("decide-form");
const result = document.getElementById("decide-result");
const status = document.getElementById("decide-status");
const bar = document.getElementById("decide-bar");
const questions = [...form.querySelectorAll("fieldset")];
const isList = (field) => field.dataset.list === "true";

let given = fromLink();
let sent = 0;
let shown = null; // the outcome on the page
let tried = false; // whether a button inside the result was pressed, which then is gone

const worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => {
  if (data.loaded !== undefined) progress(data.loaded);
  if (data.error) fail(data.error);
  if (data.record) save("0001-orchestrator.md", data.record);
  if (data.id !== sent) return;
  if (data.outcome) showOutcome(data.outcome);
  if (data.review) showReview(data.review);
};
worker.onerror = (event) => fail(event.message || "the engine could not be loaded");
worker.postMessage({ start: Number(form.dataset.bytes) });
fill(given);
ask();

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", ({ target }) => {
  const field = target.closest("fieldset");
  answer(field.dataset.question, isList(field) ? chosen(field) : value(target));
});
form.addEventListener("reset", (event) => {
  event.preventDefault();
  given = {};
  ask();
});
addEventListener("hashchange", () => {
  const linked = fromLink();
  if (JSON.stringify(linked) === JSON.stringify(given)) return;
  given = linked;
  ask();
});

function answer(name, value) {
  given = { ...given, [name]: value };
  ask();
}

function ask() {
  sent += 1;
  const link = new URLSearchParams(Object.entries(given).map(([name, value]) => [name, [value].flat().join(",")]));
  history.replaceState(null, "", link.size ? `#${link}` : location.pathname + location.search);
  worker.postMessage({ id: sent, given });
}

/** The answers in the address; what the form does not know is left out. */
function fromLink() {
  const linked = {};
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    const field = questions.find((each) => each.dataset.question === name);
    const inputs = field ? [...field.querySelectorAll("input")] : [];
    const known = inputs.filter((input) => text.split(",").includes(input.value));
    if (field && isList(field)) linked[name] = known.map(value);
    else if (known.length === 1) linked[name] = value(known[0]);
  }
  return linked;
}

function value(input) {
  return input.closest("fieldset").dataset.type === "bool" ? input.value === "true" : input.value;
}

function chosen(field) {
  return [...field.querySelectorAll("input:checked")].map(value);
}

function fill(answers) {
  for (const field of questions) {
    const answered = answers[field.dataset.question];
    if (answered === undefined) continue;
    for (const input of field.querySelectorAll("input")) input.checked = [answered].flat().includes(value(input));
  }
}

function progress(share) {
  if (shown) return;
  const percent = Math.round(share * 100);
  status.querySelector("progress").value = percent;
  // Said twice only, so that a screen reader is not flooded.
  const text = percent < 100 ? "Loading the rules. You can answer already." : "Starting the rules.";
  const words = status.querySelector("span");
  if (words.textContent !== text) words.textContent = text;
}

function fail(message) {
  say(`The rules cannot run here: ${message}. Reload the page, or use make recommend.`, true);
}

function showOutcome(outcome) {
  shown = outcome;
  const { decision, answers, asked, problems } = outcome;
  fill(answers);
  for (const field of questions) field.hidden = !asked.includes(field.dataset.question);
  for (const field of questions) {
    const problem = problems[field.dataset.question] ?? "";
    field.querySelector(".decide-problem").textContent = problem;
  }
  const best = decision.ranking[0];
  const everything = [...decision.ranking, ...decision.excluded];
  const named = (id) => everything.find((entry) => entry.id === id)?.name ?? "nothing fits";
  const headline = decision.recommended ? full(best) : "Nothing fits";
  say(decision.recommended ? `Recommended: ${headline}` : headline, false);
  bar.textContent = headline;

  // The review before stays, dimmed, until the new one is there.
  const review =
    document.getElementById("decide-review") ??
    el("div", { id: "decide-review" }, el("p", {}, "Working out costs and what would change it."));
  review.setAttribute("aria-busy", "true");
  const parts = [
    el("h2", { id: "decide-headline", tabindex: "-1" }, headline),
    decision.recommended &&
      el(
        "p",
        {},
        `Decided by: ${decision.step}.`,
        best.template ? "" : ` There is no template for it yet; the best with one is ${named(decision.default)}.`,
      ),
    decision.conflict && el("p", { class: "decide-problem" }, decision.conflict),
    decision.fresh_start &&
      decision.fresh_start !== decision.recommended &&
      el("p", {}, `For a fresh start it would be ${named(decision.fresh_start)}.`),
    list(decision.reasons),
    section("Scores", scores(decision), legend(["weighted scores", "points from needs and rules"])),
    section("What weighs how much", weights(decision)),
    section("Ruled out", ...named_list(decision.excluded.map((entry) => [entry.name, entry.out]))),
    section("Cautions", list(cautions(decision).map(sentence))),
    review,
    section("Take it with you", ...take(outcome)),
  ];
  result.replaceChildren(...parts.filter(Boolean));
  if (tried) document.getElementById("decide-headline").focus();
  tried = false;
}

/** Tells a screen reader, and shows it where `visible`. */
function say(text, visible) {
  status.classList.toggle("decide-spoken", !visible);
  status.replaceChildren(el("span", {}, text));
}

function full(entry) {
  return entry.variant?.name ? `${entry.name} on ${entry.variant.name}` : entry.name;
}

/** A table whose bars are the scores: the weighted sum, and on top of it the points. */
function scores({ ranking, excluded }) {
  const all = [...ranking, ...excluded];
  const most = Math.max(5, ...all.map((entry) => entry.score));
  const rows = all.map((entry) => {
    const weighted = Math.max(0, Math.min(entry.score, entry.score - entry.points));
    const points = Math.max(0, entry.score - weighted);
    const track = el(
      "div",
      { class: "decide-track", "aria-hidden": "true" },
      fillBar("decide-weighted", weighted / most),
      fillBar("decide-points", points / most),
    );
    return el(
      "tr",
      { class: entry.out ? "decide-out" : "" },
      el("th", { scope: "row" }, entry.name, entry.out ? el("small", {}, " ruled out") : ""),
      el("td", {}, track),
      el("td", { class: "decide-figure" }, entry.score.toFixed(2)),
    );
  });
  return table(["system", "", "score"], rows);
}

/** The dimensions by weight, with what the two best have of five. */
function weights({ ranking, excluded, weights: percent }) {
  const two = [...ranking, ...excluded].filter((entry) => Object.keys(entry.dimensions).length).slice(0, 2);
  const dimensions = Object.entries(percent)
    .filter(([, share]) => share > 0)
    .sort((a, b) => b[1] - a[1]);
  const rows = dimensions.map(([id, share]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, words(id)),
      el("td", {}, el("div", { class: "decide-track", "aria-hidden": "true" }, fillBar("decide-weighted", share / 40))),
      el("td", { class: "decide-figure" }, `${Math.round(share)} %`),
      ...two.map((entry) => el("td", { class: "decide-figure" }, `${entry.dimensions[id]}`)),
    ),
  );
  return table(["", "", "weight", ...two.map((entry) => entry.name)], rows);
}

function cautions(decision) {
  const concerned = [decision.recommended, ...(decision.members[decision.recommended] ?? [])];
  const all = [...decision.ranking, ...decision.excluded];
  const hosts = all.filter((entry) => concerned.includes(entry.id)).map((entry) => entry.variant?.id);
  const about = (rule) =>
    (rule.caution ?? []).some((id) => concerned.includes(id)) || (rule.variants ?? []).some((id) => hosts.includes(id));
  return decision.cautions.filter(about).map((rule) => rule.because);
}

function showReview(review) {
  const target = document.getElementById("decide-review");
  target.setAttribute("aria-busy", "false");
  target.replaceChildren(...(review.costs ? reviewed(review) : []));
  result.dataset.answers = JSON.stringify(given);
}

function reviewed({ costs, salary, engineers, flips, migration, by_hand }) {
  const everything = [...shown.decision.ranking, ...shown.decision.excluded];
  const nameOf = (id) => everything.find((entry) => entry.id === id)?.name ?? "Nothing fits";
  const groups = Map.groupBy ? Map.groupBy(flips, (flip) => flip.outcome) : grouped(flips);
  const changes = [...groups].map(([outcome, own]) =>
    el(
      "details",
      {},
      el("summary", {}, `${nameOf(outcome)}: ${own.length} ${own.length === 1 ? "answer" : "answers"}`),
      el("ul", {}, ...own.map((flip) => el("li", {}, tryButton(flip)))),
    ),
  );
  return [
    section(
      "Two years, US dollars",
      costsTable(costs),
      legend(["engineering time, and the least that the vendor asks", "up to the most"]),
      el(
        "p",
        { class: "decide-note" },
        `Engineering time at ${money(salary)} a year and ${engineers} engineers, and what the vendor asks. Compute in your own account is not in it.`,
      ),
    ),
    migration.from &&
      section(
        "The move",
        el(
          "p",
          {},
          `Moving off ${migration.from} takes each of ${migration.engineers} engineers ${range(migration.each)} weeks, ${range(migration.in_all)} in all; half as much again for surprises is in it.`,
          migration.per_10?.length ? ` Add ${range(migration.per_10)} weeks per 10 operators to replace.` : "",
        ),
      ),
    by_hand.length > 0 &&
      section(
        "To write by hand",
        list(
          by_hand.map(
            (row) => `${row.name}${row.only ? `, beside ${row.only}` : ""}: about ${row.weeks} weeks of one engineer`,
          ),
        ),
      ),
    section(
      "What would change it",
      ...(changes.length
        ? [
            el("p", { class: "decide-note" }, "Each of these answers alone leads elsewhere. Choose one to try it."),
            ...changes,
          ]
        : [el("p", {}, "No single answer would.")]),
    ),
  ].filter(Boolean);
}

function grouped(flips) {
  const groups = new Map();
  for (const flip of flips) groups.set(flip.outcome, [...(groups.get(flip.outcome) ?? []), flip]);
  return groups;
}

/** A button that gives the one answer of a flip: an answer, an item added to a list, or one taken away. */
function tryButton({ question, answer: text, if: condition }) {
  const field = questions.find((each) => each.dataset.question === question);
  const button = el("button", { type: "button", class: "decide-try" }, `if ${condition}`);
  button.addEventListener("click", () => {
    const without = text.startsWith("without ");
    const item = text.replace(/^without /, "");
    const now = shown.answers[question];
    const bool = field.dataset.type === "bool" ? item === "true" : item;
    answer(question, !isList(field) ? bool : without ? now.filter((each) => each !== item) : [...now, item]);
    tried = true;
  });
  return button;
}

/** Bars from the least to the most of it. */
function costsTable(costs) {
  const ends = ({ total, vendor }) => (vendor?.length ? vendor.map((asked) => total + asked) : [total, total]);
  const known = costs.filter((row) => row.total !== undefined);
  const most = Math.max(1, ...known.map((row) => ends(row)[1]));
  const rows = costs.map((row) => {
    const [least, highest] = row.total === undefined ? [0, 0] : ends(row);
    const track = el(
      "div",
      { class: "decide-track", "aria-hidden": "true" },
      fillBar("decide-weighted", least / most),
      fillBar("decide-points", (highest - least) / most),
    );
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, row.name, el("small", {}, ` ${row.variant}`)),
      el("td", {}, track),
      el("td", { class: "decide-figure" }, row.shown ?? "no figures"),
    );
  });
  return table(["system", "", "total"], rows);
}

function take({ command, used, decision, problems }) {
  if (Object.keys(problems).length || !decision.default)
    return [el("p", {}, "Copier would refuse these answers. Change one of them first.")];
  const code = el("code", { id: "decide-command" }, command);
  const answers = Object.entries(used)
    .map(([name, value]) => `${name}: ${JSON.stringify(value)}\n`)
    .join("");
  return [
    el("p", {}, "This command makes the project. Copier asks what is left, such as its name."),
    el("pre", {}, code),
    el(
      "p",
      { class: "decide-buttons" },
      button("Copy the command", () => copy(command, "The command is copied.")),
      button("Copy the link", () => copy(location.href, "The link is copied. It holds your answers.")),
      button("Download the record", () => worker.postMessage({ record: true })),
      button("Download the answers", () => save("answers.yml", answers || "{}\n")),
    ),
    el("p", { id: "decide-copied", role: "status" }),
    el(
      "p",
      { class: "decide-note" },
      `The record is what the project gets as docs/adr/0001-orchestrator.md. make recommend ANSWERS=answers.yml prints the same result in a terminal.`,
    ),
  ];
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    copied(done);
  } catch {
    copied("The browser does not let this page copy. Select the text instead.");
  }
}

function copied(text) {
  document.getElementById("decide-copied").textContent = text;
}

function save(name, text) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, text] of Object.entries(attributes)) element.setAttribute(name, text);
  element.append(...children.filter((child) => child !== ""));
  return element;
}

function button(text, act) {
  const element = el("button", { type: "button", class: "md-button" }, text);
  element.addEventListener("click", act);
  return element;
}

function section(title, ...parts) {
  const content = parts.filter(Boolean);
  return content.length && el("section", {}, el("h3", {}, title), ...content);
}

/** What stands between backticks as code. */
function coded(text) {
  return text.split("`").map((part, index) => (index % 2 ? el("code", {}, part) : part));
}

function list(lines) {
  return lines.length ? el("ul", {}, ...lines.map((line) => el("li", {}, ...coded(line)))) : null;
}

function named_list(rows) {
  return rows.length
    ? [el("dl", {}, ...rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, ...coded(sentence(text)))]))]
    : [];
}

function table(head, rows) {
  const heads = head.map((text) => (text ? el("th", { scope: "col" }, text) : el("td", {})));
  return el("table", { class: "decide-table" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows));
}

function fillBar(kind, share) {
  const element = el("span", { class: kind });
  element.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return element;
}

function legend([first, second]) {
  return el(
    "p",
    { class: "decide-note" },
    el("span", { class: "decide-key decide-weighted" }),
    ` ${first} `,
    el("span", { class: "decide-key decide-points" }),
    ` ${second}`,
  );
}

function sentence(text) {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}

function words(id) {
  return id.replaceAll("_", " ");
}

function range([least, most]) {
  return least === most ? `${least}` : `${least} to ${most}`;
}

function money(dollars) {
  return dollars.toLocaleString("en");
}
