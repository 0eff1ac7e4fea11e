"""The project's command: ``python -m <package>``. `make` calls it, and so does what runs steps in containers."""

from .commands import main

main()
