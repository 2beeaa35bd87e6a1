"""What the model may have us do: time, data, places, Genie."""
