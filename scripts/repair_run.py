"""Diagnose a run's files and rebuild what can be rebuilt."""

import sys

from batchtrial.cli.commands.repair import main

if __name__ == "__main__":
    sys.exit(main())
