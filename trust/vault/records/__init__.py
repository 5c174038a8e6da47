"""The records of the vault: for each aggregate, its values and the protocol of its repository."""
