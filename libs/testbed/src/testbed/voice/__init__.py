"""Speech for the testbed: synthesis, recognition and the telephone codec.

`g711` is plain Python; `mulaw`, `speaker` and `hearing` need the extra `testbed[voice]`.
"""
