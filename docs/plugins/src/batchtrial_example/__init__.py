"""A provider, a metric and a source for batchtrial."""
