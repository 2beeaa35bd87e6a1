"""Stand-ins for Azure, so that the whole app runs on a laptop. Nothing here imports the app."""
