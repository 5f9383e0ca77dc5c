"""A virtual-clock bench of scaling laws: an hour of a stream in a fraction of a second."""
