"""`python -m batchtrial.emulator`."""

from batchtrial.emulator.command import main

if __name__ == "__main__":
    raise SystemExit(main())
