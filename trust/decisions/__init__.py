"""What people decided, and what follows from it: grants, permissions, leases, receipts."""
