"""May a message go to this customer now, what does it say, and how does it leave?

Nothing here knows a database: `engine` reads what is needed, asks, and writes down what came of it.
"""
