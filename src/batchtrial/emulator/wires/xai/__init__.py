"""xAI's files and batches, from the server's side."""
