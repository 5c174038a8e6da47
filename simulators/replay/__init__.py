"""Recordings played to agents over Unix sockets."""
