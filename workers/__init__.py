"""dramatiq actors and scheduler ticks: thin, ids only; each calls one use case of the engine."""
