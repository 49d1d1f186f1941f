"""Result lines of any wire as records."""
