"""batchtrial from Python: runs read as tables, planned, started, resumed and stopped. It prints nothing and leaves the process as it is."""
