"""Programs: straight-line calls of NumPy's functions, and the code that runs them: NumPy's, C++ and CUDA."""
