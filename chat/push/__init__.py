"""Sends frames to sockets that a service holds."""
