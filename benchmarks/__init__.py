"""What measures speed and memory; README.md says how to read it."""
