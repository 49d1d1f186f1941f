"""xAI: the adapter of its batches."""
