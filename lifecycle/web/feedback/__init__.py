"""What comes back: pages on which customers say what they want, and reports of what became of letters."""
