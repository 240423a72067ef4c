"""HTTP in front of the engine: what was asked, what is answered, and nothing decided in between."""
