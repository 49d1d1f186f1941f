"""Sending parts and fetching their results: the queue, its money, and its waits."""
