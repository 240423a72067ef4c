"""What does a message say? Templates are found, checked, and filled in far away from everything else.

`catalogue` finds and checks, `renderer` fills in. Nothing is imported here: the process that fills
templates in shall know as little of the rest as it can.
"""
