"""Drivers of real instruments, one file a role, and rigs that make a chip of them."""
