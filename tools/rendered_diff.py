"""What users get of a change: each file of the example projects that differs from another version of the template.

Called by make rendered-diff [FROM=ref]. The examples stand in tools/site/examples.yml, and tools/site/example_files.txt
lists the files that each has, for a reviewer to see which ones a change adds or removes; --write writes that list.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import copier
import yaml
from compare_decisions import LAST_RELEASE
from copier.errors import CopierError
from decision_engine import ROOT

EXAMPLES: dict[str, dict] = yaml.safe_load((ROOT / "tools/site/examples.yml").read_text(encoding="utf-8"))
LIST = ROOT / "tools" / "site" / "example_files.txt"
HEAD = "# The files of the example projects, and which examples have them; make rendered-files writes this list.\n"
ANSWERS = ".copier-answers.yml"
# Where the template came from differs between any two copies.
ORIGIN = re.compile(rb"^(_commit|_src_path|# checksum): .*\n", re.MULTILINE)
WORKING_TREE = "HEAD"  # Copier takes what is not committed with it


def render(target: Path, ref: str, answers: dict) -> None:
    """A project of the template at a ref. Raises copier.errors.CopierError where that refuses the answers."""
    with contextlib.redirect_stderr(io.StringIO()):
        copier.run_copy(str(ROOT), target, data=answers, defaults=True, vcs_ref=ref, quiet=True)


def render_examples(folder: Path, ref: str = WORKING_TREE) -> Path:
    """Each example in a folder of its name; empty where an earlier version refuses its answers."""
    for name, example in EXAMPLES.items():
        project = folder / name
        project.mkdir(parents=True)
        try:
            render(project, ref, example["answers"])
        except (CopierError, ValueError) as error:
            if ref == WORKING_TREE:
                raise SystemExit(f"error: example {name} of tools/site/examples.yml: {error}") from error
            print(f"{ref} has no project for the example {name}; all of its files are new", flush=True)
        if (project / ANSWERS).exists():
            (project / ANSWERS).write_bytes(ORIGIN.sub(b"", (project / ANSWERS).read_bytes()))
    return folder


def files_list(folder: Path) -> str:
    """The text of the list: a file a line, and the examples that have it; `all` where each has."""
    having = defaultdict(list)
    for name in EXAMPLES:
        for path in (path for path in (folder / name).rglob("*") if path.is_file()):
            having[path.relative_to(folder / name).as_posix()].append(name)
    words = {path: "all" if len(names) == len(EXAMPLES) else " ".join(names) for path, names in having.items()}
    return HEAD + "".join(f"{path}\t{words[path]}\n" for path in sorted(having))


def differences(before: Path, after: Path) -> dict[str, list[str]]:
    """The examples by the part of git's diff that they have in common, a part for each file."""
    parts = defaultdict(list)
    for name in EXAMPLES:
        command = ["git", "-c", "core.quotePath=off", "-c", "diff.noprefix=false", "diff", "--no-index"]
        command += ["--no-ext-diff", "--no-color", f"{before.name}/{name}", f"{after.name}/{name}"]
        done = subprocess.run(command, cwd=after.parent, capture_output=True)
        if done.returncode > 1:
            raise SystemExit(f"error: git diff failed: {done.stderr.decode().strip()}")
        text = done.stdout.decode(errors="replace").replace(f"/{before.name}/{name}/", "/")
        text = text.replace(f"/{after.name}/{name}/", "/")
        for part in re.split(r"(?m)^(?=diff --git )", text)[1:]:
            parts[part].append(name)
    return dict(parts)


def path_and_kind(part: str) -> tuple[str, str]:
    head = part.split("\n@@")[0]
    path = re.search(r"(?m)^diff --git a/.* b/(.*)$", head)[1]
    for kind, mark in (("added", "new file mode"), ("removed", "deleted file mode"), ("renamed", "rename from ")):
        if f"\n{mark}" in head:
            return path, kind
    return path, "changed"


def last_release() -> str:
    """The newest tag, or the first release's commit, as a checkout may have no tags."""
    command = ["git", "tag", "--list", "v[0-9]*.[0-9]*.[0-9]*", "--sort=-version:refname"]
    tags = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.split()
    return tags[0] if tags else LAST_RELEASE


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ref", nargs="?", help="compare with this tag, branch or commit; the last release by default")
    parser.add_argument("--write", action="store_true", help="write the list of files instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        after = render_examples(Path(folder, "after"))
        current = files_list(after)
        if options.write:
            LIST.write_text(current, encoding="utf-8")
            return None
        ref = options.ref or last_release()
        revision = subprocess.run(
            ["git", "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], cwd=ROOT, text=True, capture_output=True
        )
        if revision.returncode:
            return f"error: there is no tag, branch or commit {ref}; name one, such as FROM=HEAD~1"
        parts = differences(render_examples(Path(folder, "before"), revision.stdout.strip()), after)
    rows = defaultdict(set)
    for part, names in parts.items():
        rows[path_and_kind(part)] |= set(names)
    for (path, kind), names in sorted(rows.items()):
        print(f"{kind:8} {path}    {'all' if len(names) == len(EXAMPLES) else ' '.join(sorted(names))}")
    print(f"{len({path for path, _ in rows})} files differ between {ref} and the working tree\n")
    print("\n".join(sorted(parts, key=path_and_kind)))
    if not LIST.exists() or LIST.read_text(encoding="utf-8") != current:
        return f"error: {LIST.relative_to(ROOT)} is not what projects have; run make rendered-files and commit it"
    return None


if __name__ == "__main__":
    sys.exit(main())
