"""What every caller asks and must be answered, drawn from a seed: the same in each run. Pure."""

import random
from dataclasses import dataclass

GREETING = 0
"""The number of what the assistant says first, unasked."""
GREETING_WORDS = 6


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a caller: the words of its answer, and whether the answer takes a tool.

    `pause_ms`: what the caller waits after the answer before. `think_ms`: what the model takes
    before its first word. `forgetful`: told of the tool call in a restored session, the model
    makes it again.
    """

    number: int
    words: int
    tool: bool
    pause_ms: int
    think_ms: int
    forgetful: bool


@dataclass(frozen=True, slots=True)
class CallPlan:
    """One call: when it is dialled (s after the run's start) and what is asked, in order."""

    call: int
    starts_s: float
    questions: tuple[Question, ...]

    def words(self, number: int) -> int:
        """How many words are owed as the answer to a question, or as the greeting."""
        return GREETING_WORDS if number == GREETING else self.questions[number - 1].words

    @property
    def owed(self) -> list[tuple[int, int]]:
        """Every (question, word) that the caller must hear."""
        numbers = (GREETING, *(question.number for question in self.questions))
        return [(number, word) for number in numbers for word in range(self.words(number))]

    @property
    def effects(self) -> list[str]:
        """Descriptions of the todos that this call creates, each exactly once."""
        return [todo(self.call, question.number) for question in self.questions if question.tool]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every call of a run."""

    seed: int
    calls: tuple[CallPlan, ...]


def draw(seed: int, calls: int, questions: int, *, within_s: float) -> Plan:
    """The plan of a seed; the calls are dialled within `within_s` seconds."""
    return Plan(
        seed, tuple(_call(seed, number, calls, questions, within_s) for number in range(calls))
    )


def todo(call: int, question: int) -> str:
    """The description of the todo that a question asks for."""
    return f"chaos {call} {question}"


def _call(seed: int, number: int, calls: int, questions: int, within_s: float) -> CallPlan:
    chance = random.Random(f"{seed}:{number}")
    starts_s = within_s * (number + chance.random()) / calls
    first_tool = chance.randrange(3)
    return CallPlan(
        number,
        starts_s,
        tuple(
            Question(
                number=index + 1,
                words=chance.randint(7, 13),
                tool=index % 3 == first_tool,
                pause_ms=chance.randrange(200, 800, 20),
                think_ms=chance.randrange(60, 260, 20),
                forgetful=chance.random() < 0.5,
            )
            for index in range(questions)
        ),
    )
