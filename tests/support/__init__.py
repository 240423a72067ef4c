"""What tests of several parts stand on: real databases, and the data shared with the project."""
