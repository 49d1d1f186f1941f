"""Configs of other programs made into ours, with a list of what has no counterpart. Whole and deletable."""
