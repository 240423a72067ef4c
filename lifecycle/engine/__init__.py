"""What the system does: one module a use case, each a short list of calls on the store and the fold."""
