"""Mistral's files and batch jobs, from the server's side."""
