"""Fireworks' batch inference."""
