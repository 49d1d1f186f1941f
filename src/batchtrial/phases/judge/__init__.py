"""Answers in, judgements out: a second wave of requests that goes through the same queue, ledger and budget."""
