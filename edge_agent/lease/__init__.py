"""The lease in force, and the keys that verify and open it."""
