"""Copy a folder into a bucket of a local store that speaks S3 and asks for no signature: load.py BUCKET_URL FOLDER."""

from __future__ import annotations

import contextlib
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path


def put(url: str, content: bytes = b"") -> None:
    request = urllib.request.Request(url, data=content, method="PUT")  # noqa: S310  an address of the stack
    with urllib.request.urlopen(request, timeout=60):  # noqa: S310
        pass


def main(bucket: str, folder: Path) -> None:
    with contextlib.suppress(urllib.error.HTTPError):  # the bucket is there already
        put(bucket)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    # A partition counts as complete once its marker is there, so the markers, which are empty, come last.
    for path in sorted(files, key=lambda path: path.stat().st_size == 0):
        put(f"{bucket}/{urllib.parse.quote(path.relative_to(folder).as_posix())}", path.read_bytes())
    print(f"{len(files)} files of {folder} are in {bucket}")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"), Path(sys.argv[2]))
