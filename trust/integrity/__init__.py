"""Checks that all recorded decisions still exist and are as they were signed."""
