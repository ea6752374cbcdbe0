"""Bench files that ship with labneuro."""
