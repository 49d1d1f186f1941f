"""A provider, a metric, a source, a form of export and a judge for batchtrial."""
