"""dramatiq actors and scheduler ticks: thin, ids only; each calls one use case of the engine.

`dramatiq workers` imports this package, and works for the broker that it finds set by it. Nobody
else's import does anything.
"""

import sys

if "dramatiq.cli" in sys.modules:
    from workers import under_dramatiq

    under_dramatiq.set_up()
