"""Secret keys in files, and the pseudonyms that are derived from them."""
