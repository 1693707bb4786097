"""Other libraries, each in a process of its own that stays up and answers: see `asking` and `worker`."""
