"""The HTTP API: streams uploads to the store, queues jobs, hands out results. FastAPI is known here alone."""
