"""What PyVISA imports as `pyvisa_labneuro` to open "bench.toml@labneuro"."""

from labneuro.simulators.rack.visa import RackLibrary

WRAPPER_CLASS = RackLibrary
