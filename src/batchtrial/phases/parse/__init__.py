"""Result lines in, predictions out."""
