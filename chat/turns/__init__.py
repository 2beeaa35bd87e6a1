"""What happens in a turn: events, their log, the runner that produces them and the followers that read them."""
