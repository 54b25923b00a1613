"""What the model is told of operators (pure): the same words in mid-call and after a restore."""

WHISPERED = (
    "A note from a colleague at the desk; the caller does not hear it. Heed it in what you say and"
    " do from here on. Do not read it out and do not mention it: {text}"
)
SPOKEN = (
    "A colleague at the desk spoke with the caller in your place until now. You did not hear the"
    " colleague; what the caller said to them stands here. From now on you speak again. If the"
    " caller's last words still wait for an answer, give it; else ask in one short sentence how you"
    " can go on. Do not greet again."
)


def whispered(text: str) -> str:
    """The note by which the model learns of a whisper."""
    return WHISPERED.format(text=" ".join(text.split()))
