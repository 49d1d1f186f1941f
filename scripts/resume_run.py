"""Go on with a run that stopped."""

import sys

from batchtrial.cli.commands.resume import main

if __name__ == "__main__":
    sys.exit(main())
