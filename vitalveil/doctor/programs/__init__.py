"""The checks of each program, which need the libraries of that program."""
