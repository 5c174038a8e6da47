"""What is settled of each agent's spool, and the receipts that tell it. Pure."""
