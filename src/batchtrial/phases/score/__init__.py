"""Predictions in, scores per item out."""
