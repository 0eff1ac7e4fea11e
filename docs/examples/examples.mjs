// Shows a file of an example beside the tree, and keeps its name in the link. Without this, a file opens as a page of its own.

const trees = document.querySelector(".examples-trees");
const view = document.getElementById("example-file");
const links = new Map([...trees.querySelectorAll("a")].map((link) => [link.dataset.file, link]));

trees.addEventListener("click", (event) => {
  const name = event.target.closest("a")?.dataset.file;
  if (!name || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  if (decodeURIComponent(location.hash.slice(1)) === name) show();
  else location.hash = encodeURI(name);
});
addEventListener("hashchange", show);
show();

async function show() {
  const name = decodeURIComponent(location.hash.slice(1));
  const link = links.get(name);
  if (!link) return;
  const answer = await fetch(link.href);
  if (!answer.ok) {
    view.textContent = `The server has no ${name}.`;
    return;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const title = document.createElement("h2");
  title.textContent = name.split("/").slice(1).join("/");
  title.tabIndex = -1;
  view.replaceChildren(title, ...page.body.children);
  view.dataset.shown = name;
  trees.querySelector("[aria-current]")?.removeAttribute("aria-current");
  link.setAttribute("aria-current", "true");
  for (let around = link.closest("details"); around; around = around.parentElement.closest("details")) around.open = true;
  if (view.getBoundingClientRect().top > innerHeight / 2) view.scrollIntoView();
}
