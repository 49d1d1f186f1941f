"""Bench: how much CPU time and memory the phases need, next to a bare `json.loads` loop over the same result lines."""
