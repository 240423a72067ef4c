"""What the system means: pure records and pure functions, without I/O, clock or randomness."""
