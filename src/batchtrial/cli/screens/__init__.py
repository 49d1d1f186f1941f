"""What is printed: plans, runs, progress, summaries. Nothing here computes."""
