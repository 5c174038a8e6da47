"""The commands of trust, grouped by subject, each with its arguments, result and function."""
