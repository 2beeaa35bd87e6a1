"""What the edges share: from what was read of a caller's words to a turn, however they came."""
