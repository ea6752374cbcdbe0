"""The commands of `labneuro`: each takes the words behind its name and returns the exit status."""
