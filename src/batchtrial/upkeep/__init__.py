"""What is wrong with a run's folder, and how it is put right."""
