"""The batch APIs of Fireworks, OpenAI and Anthropic on this machine: a server of its own, for testing any client of theirs.

It imports nothing else of the package: a shared helper would share the bug that it is there to find.
"""
