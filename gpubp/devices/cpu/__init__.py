"""The CPU backends: NumPy, and kernels that are compiled on this machine."""
