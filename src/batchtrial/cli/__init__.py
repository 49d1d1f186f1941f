"""The commands: flags and exit codes, and what is printed."""
