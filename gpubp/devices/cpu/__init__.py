"""The CPU: NumPy, and programs compiled for its own processor."""
