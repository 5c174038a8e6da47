"""Resolves pseudonyms to people, after two officers approved the request."""
