"""OpenAI's batches, and the hosts that speak the same wire."""
