"""Online learning rules: arrays in, arrays out, no device in sight."""
