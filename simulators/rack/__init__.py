"""Emulated instruments that speak the makers' SCPI over VISA; what they are wired to stands outside."""
