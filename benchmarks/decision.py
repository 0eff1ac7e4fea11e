"""The rules: what one evaluation adds to a render, how many there are in a second, and what the record adds."""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from report import Figure, conclude, progress

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))
from decision_engine import CHOICES, DEFAULTS, environment

AT_MOST_MS = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evaluations", type=int, default=500, help="different answers to decide on")
    parser.add_argument("--repetitions", type=int, default=7, help="fresh engines, as each copy has one")
    options = parser.parse_args()
    answers = list(situations(options.evaluations))
    loading, first, review_loading, reviewing = [], [], [], []
    for number in range(options.repetitions):
        jinja = environment()
        seconds, engine = timed(lambda jinja=jinja: jinja.get_template("decision/engine.jinja").module)
        loading.append(seconds)
        first.append(timed(lambda engine=engine: engine.explain(answers[0]))[0])
        seconds, review = timed(lambda jinja=jinja: jinja.get_template("decision/review.jinja").module)
        review_loading.append(seconds)
        reviewing.append(timed(lambda review=review: review.flips(answers[0], []))[0])
        shown = f"{loading[-1] * 1000:.0f} ms to load, {first[-1] * 1000:.1f} ms to decide"
        progress(f"{number + 1}/{options.repetitions}: {shown}")
    each = [timed(lambda given=given: engine.explain(given))[0] for given in answers]
    figures = [
        Figure(
            "first evaluation in a render, with loading (CPU)",
            1000 * median(map(sum, zip(loading, first, strict=True))),
            "ms",
            AT_MOST_MS,
        ),
        Figure("one evaluation (CPU)", 1000 * median(each), "ms"),
        Figure("evaluations", 1 / median(each), "per s"),
        Figure("record: loading (CPU)", 1000 * median(review_loading), "ms"),
        Figure("record: every answer changed in turn (CPU)", 1000 * median(reviewing), "ms"),
    ]
    conclude("decision", figures, options, {"loading": loading, "first": first, "reviewing": reviewing})


def situations(count: int):
    """The default answers, then random ones, the same every time."""
    yield DEFAULTS
    dice = random.Random(20130101)  # noqa: S311  repeatable, not secret
    for _ in range(count - 1):
        situation = {name: dice.choice(values) for name, values in CHOICES.items()}
        yield situation | {"needs": dice.sample(CHOICES["needs"], dice.choice([0, 0, 1, 2, 3, 5]))}


def timed(work: Callable) -> tuple[float, object]:
    """CPU seconds of it, which a busy machine does not change, and what it gave."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


median = statistics.median

if __name__ == "__main__":
    main()
