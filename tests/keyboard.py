"""Keys that the tests press at a terminal, and what a terminal adds to the text that it shows."""

import re

ENTER, DOWN = "\r", "\x1b[B"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]")
