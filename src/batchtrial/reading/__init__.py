"""Looking at runs without their lock."""
