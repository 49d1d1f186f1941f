"""Question sets in, prepared items out."""
