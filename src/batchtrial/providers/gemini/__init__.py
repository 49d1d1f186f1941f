"""Gemini Developer API: the adapter of its batches."""
