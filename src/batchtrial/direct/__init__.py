"""Rows asked one by one at a synchronous API: who is asked and how, how fast, and what is written down. It knows no provider and no emulator."""
