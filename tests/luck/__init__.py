"""A simulator of bad luck: the real client against the emulator's world in one process, in virtual time, under seeded misfortune."""
