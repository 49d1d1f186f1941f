"""Set two finished runs side by side."""

import sys

from batchtrial.cli.commands.compare import main

if __name__ == "__main__":
    sys.exit(main())
