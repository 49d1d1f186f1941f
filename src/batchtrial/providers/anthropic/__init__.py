"""Anthropic's message batches."""
