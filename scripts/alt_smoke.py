"""Smoke runs of OpenAI and Anthropic: dry runs and replays, without keys or network."""

import sys

from batchtrial.selftest.alt_smoke import main

if __name__ == "__main__":
    sys.exit(main())
