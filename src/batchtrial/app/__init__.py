"""One process at work on a run: what it was started for, wiring, the open session, the emulator's child. Prints nothing."""
