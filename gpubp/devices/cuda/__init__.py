"""CUDA devices: CuPy arrays, kernels, cuBLAS, streams and graphs."""
