"""Scores in, statistics and costs out."""
