"""What a run found, in the forms of other programs: rows, tables for a paper, figures, logs, trackers. Model output is text that nobody trusts."""
