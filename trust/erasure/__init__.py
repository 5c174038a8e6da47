"""Erasing a person from every store, proving it, and erasing again after a restore."""
