"""What callers may say, whichever way they say it."""
