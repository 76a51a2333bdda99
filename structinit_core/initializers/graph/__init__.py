"""A graph as a transformer."""
