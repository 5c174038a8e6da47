"""Enrolment: gateways get their ids and certificates here, and lose them by revocation."""
