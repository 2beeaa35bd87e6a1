"""Tools of servers that speak the Model Context Protocol. Whatever such a server says is somebody else's word."""
