"""One encoder for each wire protocol: events in, payloads out."""
