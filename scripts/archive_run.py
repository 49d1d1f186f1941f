"""Archive a run, verify an archive, restore a run from one."""

import sys

from batchtrial.cli.commands.archive import main

if __name__ == "__main__":
    sys.exit(main())
