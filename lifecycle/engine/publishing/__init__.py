"""How does a policy come into force? Measured, compared with what it may change by itself, approved."""
