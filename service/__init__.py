"""The compression service: HTTP API, queue, workers, client and command line around the cabacus engine."""
