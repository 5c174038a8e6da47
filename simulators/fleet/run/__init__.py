"""A run of a fleet: enrolment, processes, the network, withdrawals, and its end."""
