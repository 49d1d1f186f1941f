"""Write the rows that a run still owes as batch request files."""

import sys

from batchtrial.cli.commands.export_batch import main

if __name__ == "__main__":
    sys.exit(main())
