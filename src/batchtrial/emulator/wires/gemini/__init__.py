"""Files and batches of the Gemini Developer API, from the server's side."""
