"""What the emulated providers know: batches, their life, their time, and what goes wrong."""
