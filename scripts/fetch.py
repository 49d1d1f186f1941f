"""Fetch results that still lie at the provider; send nothing."""

import sys

from batchtrial.cli.commands.fetch import main

if __name__ == "__main__":
    sys.exit(main())
