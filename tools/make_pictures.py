"""Make the pictures in docs/pictures from real runs of a new project: the terminal as SVG, pages as PNG.

Called by make pictures, which installs what this needs. It needs Chromium and Node.js.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from build_site import SITE
from decision_engine import ROOT
from rich.console import Console
from rich.text import Text

FOLDER = ROOT / "docs" / "pictures"
PROJECT = ROOT / "build" / "demo"
COLUMNS = 100
MOST_BYTES = 150_000
RUN = "make run DATE=2013-01-02"
FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # from another host


def main() -> str | None:
    if not (chromium := shutil.which("chromium") or shutil.which("google-chrome")) or not shutil.which("node"):
        return "error: pictures of pages need Chromium and Node.js; install both"
    FOLDER.mkdir(exist_ok=True)
    shown("make --no-print-directory demo", ROOT)  # installs, so that the pictures show no installation
    draw("run", RUN, shown(RUN, PROJECT))
    shown("make backfill FROM=2013-01-01 TO=2013-01-03 && make report", PROJECT)
    port = free_port()
    pages = []
    with served(SITE.parent) as address:
        try:
            shown(f"AIRFLOW_PORT={port} make up", PROJECT)
            for name, url, height in (
                ("report", f"{address}/demo/var/dev/report/flights_daily.html", 800),
                ("decide", f"{address}/site/decide/#pipeline_shape=data_products&needs=lineage", 900),
                ("airflow", f"http://127.0.0.1:{port}/dags/flights_daily/", 640),
            ):
                pages.append(f"{name} {height} {url}")
            modules = ROOT / "build" / "npm" / "node_modules"
            call = ["node", str(ROOT / "tools/site/pictures.mjs"), str(modules), chromium, str(FOLDER), *pages]
            subprocess.run(call, check=True, timeout=300)
        finally:
            shown("make down", PROJECT)
    for picture in sorted(FOLDER.iterdir()):
        print(f"{picture.relative_to(ROOT)}    {picture.stat().st_size // 1000} kB")
        if picture.stat().st_size > MOST_BYTES:
            return f"error: {picture.name} is larger than {MOST_BYTES // 1000} kB; show less of the page"
    return None


def shown(command: str, folder: Path) -> str:
    """What a command shows at a terminal of COLUMNS. Raises SystemExit where it fails."""
    uv = Path(sys.executable).parent
    # Without what make tells a make below it, which would then name folders.
    kept = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    environment = {**kept, "COLUMNS": str(COLUMNS), "PATH": f"{uv}:{os.environ['PATH']}", "FORCE_COLOR": "1"}
    print(command, flush=True)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"error: {command} failed\n{done.stdout}")
    return done.stdout


def draw(name: str, command: str, output: str) -> None:
    """The command and its output as docs/pictures/<name>.svg."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text(f"$ {command}", style="bold"))
        console.print(Text.from_ansi(output.rstrip()), highlight=False)
        text = console.export_svg(title=PROJECT.name, unique_id=name)
    (FOLDER / f"{name}.svg").write_text(FONT.sub("", text), encoding="utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder on a web server of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    sys.exit(main())
