"""The tables of a run: their columns, how one comes to be part by part, and who works on its parts."""
