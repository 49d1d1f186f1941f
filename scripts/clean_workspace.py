"""Delete what is safe to delete; shows it first."""

import sys

from batchtrial.cli.commands.clean import main

if __name__ == "__main__":
    sys.exit(main())
