"""How fast is it, beside the design that one would write first? One command, one table of ratios."""
