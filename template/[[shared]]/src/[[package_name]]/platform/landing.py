"""Landing: where a pipeline's input arrives, a folder for each partition, complete once it holds the marker. Files
that a pipeline delivers to others go to a place of the same kind.

``landing.url`` in config/pipelines/<name>.toml is a folder, or ``s3://bucket/prefix``, ``gs://…`` or ``az://…``;
obstore reads those, with the credentials that the provider's own tools would use.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config
from .errors import ConfigError, InputError, SourceUnavailable
from .partitions import ALL, Partition

if TYPE_CHECKING:
    from obstore.store import ObjectStore

    from .pipelines import Pipeline

SCHEMES = ("s3", "gs", "az", "abfss", "memory")
MOST_DIGESTED = 256 * 2**20  # bytes of a folder on this machine: half a second


@dataclass(frozen=True)
class Arrival:
    """A partition's folder. at: when it became complete, or last changed while it is not. changed: when it last did."""

    complete: bool
    at: datetime
    changed: datetime


@dataclass(frozen=True)
class Landing:
    """The landing place of one pipeline."""

    url: str
    marker: str
    root: Path

    def shown(self, partition: Partition, name: str = "") -> str:
        """A file of the partition's folder as messages show it: without a name the folder itself."""
        return "/".join(part for part in (self.url.rstrip("/"), _folder(partition), name) if part)

    def is_complete(self, partition: Partition) -> bool:
        return self.has(partition, self.marker)

    def has(self, partition: Partition, name: str) -> bool:
        """Whether the partition's folder holds this file."""
        if self.store is None:
            return (self.path(partition) / name).exists()
        try:
            self.store.head(_key(partition, name))
        except FileNotFoundError:
            return False
        except Exception as error:  # noqa: BLE001  each store has errors of its own
            raise _unavailable(self.url, error) from None
        return True

    def complete(self) -> list[str]:
        """Keys of the partitions whose input is complete, in order."""
        return sorted(key for key, arrival in self.arrivals().items() if arrival.complete)

    def arrivals(self) -> dict[str, Arrival]:
        """What has arrived, by the names of folders, which may not all be keys of partitions."""
        if self.store is not None:
            return self._arrivals_in_store()
        top = self.root / self.url
        folders = [path for path in top.iterdir() if path.is_dir()] if top.is_dir() else []
        arrivals = {path.name: _arrival(path, self.marker) for path in folders}
        return arrivals or ({ALL: _arrival(top, self.marker)} if top.is_dir() else {})

    def _arrivals_in_store(self) -> dict[str, Arrival]:
        arrivals: dict[str, Arrival] = {}
        for meta in self._listed():
            at, (*folders, name) = meta["last_modified"], meta["path"].split("/")
            key, known = folders[-1] if folders else ALL, arrivals.get(folders[-1] if folders else ALL)
            changed = max(at, known.changed) if known else at
            if name == self.marker:
                arrivals[key] = Arrival(True, at, changed)
            elif known and known.complete:
                arrivals[key] = Arrival(True, known.at, changed)
            else:
                arrivals[key] = Arrival(False, changed, changed)
        return arrivals

    def changed(self, partition: Partition) -> datetime | None:
        """When the partition's folder changed last, a file in it written or replaced; None without a folder."""
        if self.store is None:
            folder = self.path(partition)
            return _changed(folder) if folder.is_dir() else None
        return max((meta["last_modified"] for meta in self._listed(_folder(partition))), default=None)

    def digest(self, partition: Partition) -> str:
        """A digest of the names and contents of the partition's files, whenever they were written.

        Empty without a folder, and for one on this machine whose files take more than `MOST_DIGESTED` bytes.
        """
        if self.store is not None:
            listed = self._listed(_folder(partition))
            known = [f"{meta['path']} {meta['size']} {meta['e_tag'] or meta['last_modified']}" for meta in listed]
            return sha256("\n".join(sorted(known)).encode()).hexdigest()
        folder = self.path(partition)
        files = sorted(path for path in folder.glob("[!.]*") if path.is_file()) if folder.is_dir() else []
        if not files or sum(path.stat().st_size for path in files) > MOST_DIGESTED:
            return ""
        whole = sha256()
        for path in files:
            with path.open("rb") as content:
                whole.update(f"{path.name} {file_digest(content, 'sha256').hexdigest()}\n".encode())
        return whole.hexdigest()

    def _listed(self, folder: str = "") -> list[Mapping[str, Any]]:
        """The objects in the store, or those of a folder of it."""
        try:
            return [meta for batch in self.store.list(folder or None) for meta in batch]
        except Exception as error:  # noqa: BLE001  each store has errors of its own
            raise _unavailable(self.url, error) from None

    @contextmanager
    def file(self, partition: Partition, name: str) -> Iterator[Path]:
        """A file of the partition's folder on this machine; one of an object store is copied here for the body.

        Raises InputError when it is missing, SourceUnavailable when the store does not answer.
        """
        if self.store is None:
            path = self.path(partition) / name
            if not path.is_file():
                raise self._missing(partition, name)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="landing-") as folder:
            path = Path(folder) / Path(name).name
            try:
                with path.open("wb") as copy:
                    shutil.copyfileobj(_Chunks(iter(self.store.get(_key(partition, name)).stream())), copy)
            except FileNotFoundError:
                raise self._missing(partition, name) from None
            except OSError:
                raise  # this machine's disk
            except Exception as error:  # noqa: BLE001  as above
                raise _unavailable(self.url, error) from None
            yield path

    @contextmanager
    def files(self, partition: Partition, pattern: str) -> Iterator[dict[str, Path]]:
        """The files of the partition's folder that match, by name and in its order, as `file` gives one of them.

        pattern: such as ``access-*.csv``. Raises as `file`, InputError also when none matches.
        """
        with ExitStack() as entered:
            yield {name: entered.enter_context(self.file(partition, name)) for name in self.names(partition, pattern)}

    def names(self, partition: Partition, pattern: str) -> list[str]:
        """Names of the files of the partition's folder that match, in order. Raises InputError when none does."""
        names = fnmatch.filter(self._names(partition), pattern)
        if not names:
            raise InputError(f"{self.shown(partition, pattern)}: no file matches although {self.marker} is there")
        return sorted(names)

    def _names(self, partition: Partition) -> list[str]:
        """Names of the files in the partition's folder, without the marker and those that begin with a dot."""
        if self.store is not None:
            names = [meta["path"].removeprefix(f"{_folder(partition)}/") for meta in self._listed(_folder(partition))]
        else:
            folder = self.path(partition)
            names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        return [name for name in names if name != self.marker and not name.startswith(".") and "/" not in name]

    def put(self, partition: Partition, name: str, content: bytes | Path) -> None:
        """Write a file of the partition's folder: whoever reads it finds the old one or the new one, and never a part.

        content: a Path is the file to copy. Raises SourceUnavailable when the store does not answer.
        """
        if self.store is not None:
            try:
                self.store.put(_key(partition, name), content)
            except Exception as error:  # noqa: BLE001  each store has errors of its own
                raise _unavailable(self.url, error) from None
            return
        target = self.path(partition) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{name}.{os.getpid()}.new")
        try:
            with new.open("wb") as copy:
                if isinstance(content, Path):
                    with content.open("rb") as original:
                        shutil.copyfileobj(original, copy)
                else:
                    copy.write(content)
                copy.flush()
                os.fsync(copy.fileno())
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)

    def path(self, partition: Partition) -> Path:
        """The partition's folder, where landing is a folder of this machine."""
        return self.root / self.url / _folder(partition)

    @property
    def store(self) -> ObjectStore | None:
        """The object store, None where landing is a folder."""
        return _store(self.url) if self.url.split("://")[0] in SCHEMES else None

    def _missing(self, partition: Partition, name: str) -> InputError:
        return InputError(f"{self.shown(partition, name)} is missing although {self.marker} is there")


def of(pipeline: Pipeline) -> Landing:
    """The landing place of a pipeline. Raises ConfigError when this environment has none."""
    return _place(pipeline, "landing", pipeline.settings.landing.url)


def deliveries_of(pipeline: Pipeline) -> Landing:
    """The place that a pipeline's files for others go to. Raises ConfigError when this environment has none."""
    return _place(pipeline, "delivery", pipeline.settings.delivery.url)


def _place(pipeline: Pipeline, section: str, url: str) -> Landing:
    settings = config.load()
    if not url:
        raise ConfigError(
            f"{pipeline.name} has no {section} place in {settings.env}: write url under [env.{settings.env}.{section}] "
            f"in config/pipelines/{pipeline.name}.toml"
        )
    if "://" in url and url.split("://")[0] not in SCHEMES:
        raise ConfigError(f"{section}.url of {pipeline.name} is {url!r}: use a folder, s3://, gs:// or az://")
    return Landing(url, pipeline.settings.landing.marker, settings.root)


class _Chunks:
    """The chunks of an object as a file to read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.chunks = chunks

    def read(self, _: int) -> bytes:
        return bytes(next(self.chunks, b""))


def _arrival(folder: Path, marker: str) -> Arrival:
    file, changed = folder / marker, _changed(folder)
    if not file.exists():
        return Arrival(False, datetime.fromtimestamp(folder.stat().st_mtime, UTC), changed)
    # The time of the inode: copying keeps the time of the content, and moving a folder changes the folder only.
    return Arrival(True, datetime.fromtimestamp(max(file.stat().st_ctime, folder.stat().st_ctime), UTC), changed)


def _changed(folder: Path) -> datetime:
    files = [path for path in folder.iterdir() if path.is_file()]
    return datetime.fromtimestamp(max(path.stat().st_ctime for path in (folder, *files)), UTC)


def _folder(partition: Partition) -> str:
    return "" if partition.key == ALL else partition.key


def _key(partition: Partition, name: str) -> str:
    return "/".join(part for part in (_folder(partition), name) if part)


@lru_cache(maxsize=16)
def _store(url: str) -> ObjectStore:
    from obstore.store import MemoryStore, from_url

    return MemoryStore() if url.startswith("memory:") else from_url(url)


def _unavailable(url: str, error: Exception) -> Exception:
    words = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {words[0] if words else ''}"
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError", "InvalidPathError"):
        return ConfigError(f"{url} cannot be read ({reason[:300]}): check the address and this process's credentials")
    return SourceUnavailable(f"{url} does not answer ({reason[:300]})")
