"""Fireworks' datasets and batch inference jobs, from the server's side."""
