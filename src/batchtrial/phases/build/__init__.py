"""Items and arms in, request files out."""
