"""`python -m batchtrial` is the console command."""

import sys

from batchtrial.cli.main import main

sys.exit(main())
