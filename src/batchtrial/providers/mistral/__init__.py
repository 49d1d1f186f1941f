"""Mistral: the adapter of its batch jobs."""
