"""How many items and samples, what it costs, what effect it can see."""

import sys

from batchtrial.cli.commands.plan_trial import main

if __name__ == "__main__":
    sys.exit(main())
