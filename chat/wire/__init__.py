"""How payloads travel over HTTP."""
