"""Ask a run to stop."""

import sys

from batchtrial.cli.commands.stop import main

if __name__ == "__main__":
    sys.exit(main())
