"""The CEL library without its command line, whose terminal library takes most of the time to import."""

from __future__ import annotations

import sys
from types import ModuleType

_COMMAND_LINE = "cel.cli"

if _COMMAND_LINE in sys.modules:
    import cel
else:
    # `import cel` imports its command line too, and with it prompt_toolkit: half a second for
    # every command of ours. An empty module stands in for it meanwhile.
    sys.modules[_COMMAND_LINE] = ModuleType(_COMMAND_LINE)
    import cel

    del sys.modules[_COMMAND_LINE]

__all__ = ["cel"]
