"""The worker: claims jobs, runs each in a child process, and reports how it ended."""
