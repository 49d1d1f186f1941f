"""Run a prompt trial from config to report; Fireworks unless the config or --backend says otherwise."""

import sys

from batchtrial.cli.commands.run import main

if __name__ == "__main__":
    sys.exit(main())
