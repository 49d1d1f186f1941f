"""Take in result files that were brought by hand."""

import sys

from batchtrial.cli.commands.import_batch import main

if __name__ == "__main__":
    sys.exit(main())
