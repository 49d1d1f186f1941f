"""Recorded runs, written and played back."""
