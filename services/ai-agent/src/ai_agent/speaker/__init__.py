"""Speech without a conversation session: sentences to mu-law audio, by whichever provider can."""
