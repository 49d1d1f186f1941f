"""Show where runs stand and what they have cost."""

import sys

from batchtrial.cli.commands.status import main

if __name__ == "__main__":
    sys.exit(main())
