"""Serve the providers' batch APIs on this machine."""

import sys

from batchtrial.emulator.command import main

if __name__ == "__main__":
    sys.exit(main())
