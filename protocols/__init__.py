"""The experiments, one file each, named after what it does."""
