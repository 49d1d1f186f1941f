"""The page with a run's answers: as a file to mail, and from a server on this machine."""
