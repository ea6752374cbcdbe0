"""A laboratory that teaches neuromorphic chips: emulated, real, or recorded.

Importing this package loads neither Qt nor h5py nor numba; each is loaded by the module that needs it.
"""

from importlib.metadata import version

__version__ = version("labneuro")
