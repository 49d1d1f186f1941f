"""One optional analysis of a run that is there."""

import sys

from batchtrial.cli.commands.analyze import main

if __name__ == "__main__":
    sys.exit(main())
