"""Anthropic's message batches, from the server's side."""
