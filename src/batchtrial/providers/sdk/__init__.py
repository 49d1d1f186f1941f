"""What the adapters share of the official SDKs: connections, errors, request lines."""
