"""Erasure of a person from every store, its proof, and its repetition after a restore."""
