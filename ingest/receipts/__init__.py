"""The settled sequences of each agent's spools, and the receipts that report them. Pure."""
