"""Giving a pseudonym its name back, which takes two officers."""
