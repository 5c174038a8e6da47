"""Stored records of sensors with a memory: requested, assembled, and numbered."""
