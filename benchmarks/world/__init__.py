"""The system that is measured: its servers, its database, and a fleet with sealed envelopes."""
