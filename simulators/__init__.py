"""Physics of the chips as numba kernels, and the emulated chips that put a role around them."""
