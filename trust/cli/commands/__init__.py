"""The commands of trust, by subject: of each its arguments, its result, and what runs it."""
