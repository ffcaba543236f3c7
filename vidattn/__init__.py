"""Long-range attention for video: the thin library behind the book."""

__version__ = "0.1.0"
