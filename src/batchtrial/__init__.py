"""Controlled prompt trials over LLM batch APIs, that pay once."""

__version__ = "0.1.0"
