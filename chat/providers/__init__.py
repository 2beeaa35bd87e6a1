"""Model services behind one port."""
