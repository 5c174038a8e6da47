"""What each command does: parsed arguments in, what is printed out."""
