"""What is kept, and how it is read and written in bulk, on SQLite and on PostgreSQL alike."""
