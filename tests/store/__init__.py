"""What the store promises, proven on SQLite and on PostgreSQL alike."""
