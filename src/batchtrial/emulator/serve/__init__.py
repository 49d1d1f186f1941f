"""Serving the emulated providers over HTTP: exchanges, faults, results and the bill."""
