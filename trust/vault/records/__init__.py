"""What the vault keeps: for each aggregate, its values and the protocol of its repository."""
