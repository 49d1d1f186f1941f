"""One module per command: flags and exit codes."""
