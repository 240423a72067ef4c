"""How does a message that is due leave? Claim and judge, write, hand over, write down what came of it."""
