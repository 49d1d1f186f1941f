"""The same pipeline at OpenAI or Anthropic: --backend is required."""

import sys

from batchtrial.cli.commands.run import alt_main

if __name__ == "__main__":
    sys.exit(alt_main())
