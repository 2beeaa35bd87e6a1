"""Sessions as rooms: what every socket of a session is shown, and who is there."""
