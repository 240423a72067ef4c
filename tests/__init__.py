"""The tests: each tells a history, and its name is the rule that it proves."""
