"""One process at work on a run: what was asked, wiring, the open session, the emulator's child. Prints nothing."""
