"""The socket edge: events of the service that holds the sockets, in whichever way they come in."""
