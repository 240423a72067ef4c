"""The customer lifecycle engine: events in; states, timed checks and planned messages out."""
