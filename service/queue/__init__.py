"""The job queue: a port, its Redis Streams adapter and an in-memory twin for tests."""
