"""Data the chips learn: what ships with the package, and what is fetched once and known by its checksum."""
