"""Coverage, size and error rates of the statistics, against gates."""
