"""Keys that the tests press at a terminal, what a terminal adds to the text that it shows, and what is asked there."""

import re

import yaml
from decision_engine import CHOICES, data
from repository import ROOT

ENTER, DOWN = "\r", "\x1b[B"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")
TOPICS = ("project", "decision", "orchestrator", "hosting", "production", "pipeline")
ONLY_FOR_SOME = ("mirror", "image_registry")  # asked where the network or the hosting needs them
WORDS = data("answers")


def asked(skipped: str = "", more: str = "", quick: bool = False) -> list[str]:
    """The questions in the order asked, with ``quick`` those of the short way; without a ``help`` none is asked.

    skipped: those that the answers make needless. more: those that only they make worth asking.
    """
    topics = [yaml.safe_load((ROOT / "questions" / f"{topic}.yml").read_text()) for topic in TOPICS]
    named = {name: question for topic in topics for name, question in topic.items() if "help" in question}
    assert {*skipped.split(), *more.split()} <= named.keys()
    only_for_some = {*ONLY_FOR_SOME, *(name for name in CHOICES if "asked" in WORDS[name])}
    left_out = {*skipped.split(), *(only_for_some - {*more.split()})}
    left_out |= {name for name in CHOICES if quick and "short" not in WORDS[name]}
    return [name for name in named if name not in left_out]
