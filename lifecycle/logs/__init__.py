"""What this process says of itself on standard error: named lines, as text or as JSON.

A line tells what happened by a name and by fields that the program wrote: policies' names, codes,
counts and internal numbers. Nothing that somebody posted is ever in one, nor the text of an
exception, which may quote it. What the lines mean is in `docs/operations.md`.
"""
