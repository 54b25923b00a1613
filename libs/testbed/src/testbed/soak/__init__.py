"""Does anything grow? Thousands of short calls through the whole system, ended in every way.

`python -m testbed.soak`, `make soak`. Between batches the system stands still and is counted:
memory, file descriptors, threads, tasks, subscriptions, held slots, sockets.
"""
