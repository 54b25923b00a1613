"""Sound at the desk: listening to a call, speaking in it, and what was recorded of it."""
