"""Interrupt dry runs, resume them, and compare them with one that was never stopped."""

import sys

from batchtrial.selftest.smoke import main

if __name__ == "__main__":
    sys.exit(main())
