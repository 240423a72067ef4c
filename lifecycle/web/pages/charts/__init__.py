"""Charts as SVG that stands in a page: drawn by ourselves, coloured by the page's style sheet.

Each is a record of what is to be seen and a function that draws it at a width; a chart with text in it
is drawn once for wide pages and once for phones, so that letters keep their size.
"""
