"""A run of a fleet: enrolment, processes, network, withdrawals, and the end of the run."""
