"""Whether what was decided is still there, and as it was signed."""
