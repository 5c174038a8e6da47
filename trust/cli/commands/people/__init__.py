"""Commands about people: identities, decisions, rights, erasure."""
