"""PINs: rules, hashing, storage and the gate that judges a caller's digits."""
