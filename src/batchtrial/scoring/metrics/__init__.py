"""Metrics by name, as a config asks for them: a module a family, `named.py` in front."""
