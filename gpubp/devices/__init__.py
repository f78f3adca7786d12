"""Where it is computed: the verbs of a device, on NumPy arrays and on CuPy arrays."""

from .ops import open_device as open_device
