"""Putting a finished run away, and back."""
