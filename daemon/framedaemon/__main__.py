"""``python -m framedaemon`` is the command ``framedaemon``."""

from framedaemon.cli import main

main()
