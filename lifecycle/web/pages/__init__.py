"""Pages that are a file of their own: no script, nothing fetched, the same bytes for the same figures.

`told` says figures and dates in words, `charts` draws, `looks` gives states their colours; the modules
beside them tell what stands in the sections of the page of a backtest.
"""

from lifecycle.web.pages.page import backtest_page

__all__ = ["backtest_page"]
