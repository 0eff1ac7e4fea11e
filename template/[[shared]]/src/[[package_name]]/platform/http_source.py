"""A paginated HTTP API as a source: the rows of a partition's data interval, page by page.

What was published is the state: each run asks for its own partition, so a run that broke off is simply repeated.
Requests are paced, and repeated after what may pass (no answer, 429 with its Retry-After, 5xx).
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import config, landing, logging, secrets, sources, warehouse
from .errors import ConfigError, InputError, SourceUnavailable

if TYPE_CHECKING:
    import httpx

    from .partitions import Partition
    from .pipelines import Pipeline
    from .warehouse import Connection

LONGEST_WAIT = 300.0  # that an API may ask for; with a longer one the step fails and is tried again later


@dataclass(frozen=True)
class HttpPages:
    """Pages of JSON objects.

    url: of the first page; ``{start}`` and ``{end}`` become the partition's data interval, as 2013-01-02T05:00:00Z,
    and ``{key}`` its key.
    rows: the key of the list in a page, empty when the page is the list. next_page: the key that holds the next page's
    address, or, with ``cursor``, the value to send as that parameter; absent or null on the last page.
    token: a secret reference, sent as a bearer token; neither it nor headers are sent to another host. per_second:
    requests. most_pages: of one partition.
    """

    url: str
    columns: Sequence[str]
    rows: str = ""
    next_page: str = ""
    cursor: str = ""
    token: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    per_second: float = 5
    attempts: int = 5
    request_seconds: float = 30
    most_pages: int = 10_000

    def is_ready(self, pipeline: Pipeline, partition: Partition) -> bool:
        """Whether the partition's data interval is over."""
        return partition.end is None or partition.end <= datetime.now(UTC)

    def describe(self, pipeline: Pipeline, partition: Partition, marker: bool = False) -> str:
        return f"the end of {partition}" if marker else self._address(partition)

    def load(self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str) -> tuple[int, int]:
        with _written(self._rows(partition)) as file:
            return self._stage(con, partition, file, raw, broken)

    def _stage(self, con: Connection, partition: Partition, file: Path, raw: str, broken: str) -> tuple[int, int]:
        """Stage the rows of a file that holds a JSON object a line; a value of any type becomes text."""
        columns = ", ".join(f"{sources.text(each)}: 'VARCHAR'" for each in self.columns)
        scan = f"read_json({sources.text(str(file))}, format = 'newline_delimited', columns = {{{columns}}})"
        with warehouse.file_reader(con) as reader:
            selected = f"SELECT {sources.row(partition, 'row_number() OVER ()')}, * FROM {scan}"
            count = warehouse.stage_query(con, raw, reader, selected)
            warehouse.stage_query(con, broken, reader, sources.nothing(partition))
        return count, 0

    def _rows(self, partition: Partition) -> Iterator[Mapping[str, Any]]:
        import httpx

        token = secrets.resolve(self.token, config.load().secrets)
        headers = {**self.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
        seen: set[str] = set()
        unknown: set[str] = set()
        address, parameters = self._address(partition), {}
        with httpx.Client(headers=headers, timeout=self.request_seconds, follow_redirects=True) as client:
            while True:
                page = self._page(client, address, parameters)
                rows = page.get(self.rows) if self.rows and isinstance(page, dict) else page
                if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                    raise InputError(f"{address} has no list of objects{f' under {self.rows!r}' if self.rows else ''}")
                for row in rows:
                    missing = [name for name in self.columns if name not in row]
                    if len(missing) == len(self.columns):
                        raise InputError(f"{address} has other columns (missing: {', '.join(missing)[:200]})")
                    unknown |= row.keys() - set(self.columns)
                    yield row
                following = page.get(self.next_page) if self.next_page and isinstance(page, dict) else None
                if following in (None, ""):
                    break
                if str(following) in seen or len(seen) >= self.most_pages:
                    reason = "repeats a page" if str(following) in seen else f"has more than {self.most_pages} pages"
                    raise InputError(f"{self.url} {reason}: nothing was loaded")
                seen.add(str(following))
                if self.cursor:
                    parameters = {self.cursor: str(following)}
                else:
                    before, after = httpx.URL(address), httpx.URL(address).join(str(following))
                    if headers and (before.scheme, before.netloc) != (after.scheme, after.netloc):
                        raise InputError(
                            f"{self.url} continues at {after.host}, which its token and headers are not for"
                        )
                    address = str(after)
                time.sleep(1 / self.per_second)
        if unknown:
            logging.get_logger().warning("columns ignored", source=self.url, columns=sorted(unknown))

    def _page(self, client: httpx.Client, address: str, parameters: Mapping[str, str]) -> Any:
        """One page. Raises SourceUnavailable when it cannot be had after all attempts, else what is wrong with it."""
        import httpx
        import stamina

        def passes(error: Exception) -> bool | float:
            """Whether to ask again, or after how many seconds."""
            if isinstance(error, httpx.HTTPStatusError):
                if error.response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    return _asked_wait(error.response) or True
                return error.response.is_server_error
            return isinstance(error, httpx.TransportError)

        try:
            for attempt in stamina.retry_context(
                on=passes, attempts=self.attempts, timeout=None, wait_initial=0.5, wait_max=30
            ):
                with attempt:
                    answer = client.get(address, params=parameters or None)
                    answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
                raise ConfigError(f"{address} answers {status}: check the token that the source names") from None
            if status == httpx.codes.TOO_MANY_REQUESTS or error.response.is_server_error:
                raise SourceUnavailable(f"{address} still answers {status} after {self.attempts} attempts") from None
            raise InputError(f"{address} answers {status}") from None
        except httpx.TransportError as error:
            raise SourceUnavailable(f"{address} does not answer ({type(error).__name__})") from None
        try:
            return answer.json()
        except ValueError:
            raise InputError(f"{address} does not answer with JSON") from None

    def _address(self, partition: Partition) -> str:
        ends = {"start": partition.start, "end": partition.end}
        return self.url.format(
            key=partition.key,
            **{key: f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else "" for key, at in ends.items()},
        )


@dataclass(frozen=True)
class RecordedPages(HttpPages):
    """Pages of an API whose rows are kept in the landing place before anything reads them.

    ``[api]`` of the pipeline's file names the API. One that answers for a partition (``{key}`` or ``{start}``)
    is asked by each run, and its new answer replaces the old one when its last page is there. One that answers for
    this moment only is asked once for a partition, as its old answer cannot be had again. Without an address nothing
    is asked: what has landed counts, such as the recording that the repository holds.
    """

    url: str = ""
    columns: Sequence[str] = ()
    file: str = "rows.ndjson"

    def is_ready(self, pipeline: Pipeline, partition: Partition) -> bool:
        """Whether the partition has been recorded, or can be: its data interval is over."""
        is_over = bool(pipeline.settings.api.url) and super().is_ready(pipeline, partition)
        return is_over or landing.of(pipeline).is_complete(partition)

    def describe(self, pipeline: Pipeline, partition: Partition, marker: bool = False) -> str:
        place, asks = landing.of(pipeline), pipeline.settings.api.url
        if asks:
            return super().describe(pipeline, partition, marker) if marker else place.shown(partition, self.file)
        return place.shown(partition, place.marker if marker else self.file)

    def load(self, con: Connection, pipeline: Pipeline, partition: Partition, raw: str, broken: str) -> tuple[int, int]:
        place, api = landing.of(pipeline), pipeline.settings.api
        repeats = any(part in api.url for part in ("{start}", "{end}", "{key}"))
        if api.url and (repeats or not place.is_complete(partition)):
            asked = replace(self, url=api.url, token=api.token, per_second=api.per_second, most_pages=api.most_pages)
            with _written(asked._rows(partition)) as file:
                place.put(partition, self.file, file)
            place.put(partition, place.marker, b"")
        with place.file(partition, self.file) as file, sources.reading(place.shown(partition, self.file)):
            return self._stage(con, partition, file, raw, broken)


@contextmanager
def _written(rows: Iterable[Mapping[str, Any]]) -> Iterator[Path]:
    """A file with all of the rows, a JSON object a line."""
    with tempfile.TemporaryDirectory(prefix="pages-") as folder:
        file = Path(folder) / "rows.ndjson"
        with file.open("w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        yield file


def _asked_wait(answer: httpx.Response) -> float:
    """Seconds that the API asks to wait, 0 when it asks for none, or for longer than anyone should."""
    asked = answer.headers.get("Retry-After", "")
    try:
        seconds = (
            float(asked)
            if asked.replace(".", "", 1).isdigit()
            else ((parsedate_to_datetime(asked) - datetime.now(UTC)).total_seconds() if asked else 0.0)
        )
    except (TypeError, ValueError):
        return 0.0
    return seconds if 0 < seconds <= LONGEST_WAIT else 0.0
