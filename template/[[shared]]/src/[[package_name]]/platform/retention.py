"""History: what is older than ``[retention] days`` is removed, while the services of an orchestrator are up.

Each orchestrator removes its own runs, events and logs, see ``orchestration/<orchestrator>/``. Here is what the
platform itself keeps. What was published stays, and so does its record, ``platform.published``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from . import claims, config, history, logging

CHECK_SECONDS = 86400  # between two looks for what is old


def oldest(settings: config.Settings) -> datetime | None:
    """The instant before which history is removed, in UTC; None when it is kept for ever."""
    days = settings.retention.days
    return datetime.now(UTC) - timedelta(days=days) if days else None


def remove_own(settings: config.Settings) -> None:
    """Remove old claims and history, log files of `make run`, and metrics files that were set aside. Never raises."""
    before = oldest(settings)
    if before is None:
        return
    try:
        claims.forget(settings, before)
        history.forget(settings, before)
    except Exception as error:  # noqa: BLE001  a warehouse that does not answer; there is a next time
        logging.get_logger().warning("old claims and history stay", error=type(error).__name__, reason=str(error))
    for pattern in ("metrics/*.damaged", "run.log*", "*/run.log*"):
        _remove(path for path in settings.state.glob(pattern) if _is_old(path, before))


def remove_files(folder: Path, before: datetime, keep: Collection[str] = ()) -> None:
    """Remove what is below a folder and has not changed since that instant: files, and folders that are then empty.

    keep: names of folders whose content stays.
    """
    old = [path for path in folder.rglob("*") if _is_old(path, before)]
    _remove(path for path in old if not set(keep).intersection(path.relative_to(folder).parts))


def _is_old(path: Path, before: datetime) -> bool:
    try:
        return path.lstat().st_mtime < before.timestamp()
    except FileNotFoundError:
        return False


def _remove(paths: Iterable[Path]) -> None:
    for path in sorted(paths, reverse=True):  # a folder comes after what is in it
        with suppress(OSError):  # a folder that is not empty; what somebody else has removed
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
