"""Enrolment of a gateway: its keys, its certificate, and their renewal."""
