"""What would a policy have done? The same fold over the history that was recorded, and the letters
that would have left.

`course` is one customer's life under a policy, `history` where events come from, `tally` what is
counted, `run` how all of it is done on all cores, `report` what is told of it.
"""
