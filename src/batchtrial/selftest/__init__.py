"""Drills and measurements that the product runs on itself."""
