"""Secrets in files, and the pseudonyms that follow from them."""
