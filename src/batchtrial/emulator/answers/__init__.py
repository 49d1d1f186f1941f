"""What the emulated providers answer: a simulated model, a recording, or a real server."""
