"""One folder a wire: what its clients see."""
