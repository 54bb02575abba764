"""Where bytes live: a port and its object-store adapter."""
