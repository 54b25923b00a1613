"""The pages of the desk, for whoever goes through all of them: screenshots, accessibility, timing.

A page that is new is added here, and is then shown, checked and timed.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class DeskPage:
    """`path` may hold {call} (one that goes on), {ended} (one that is over) and {caller}. `open_`:
    shown to who is not logged in. `optional`: a setting may turn it off. `pictured`: it has
    screenshots of its own.
    """

    name: str
    path: str
    open_: bool = False
    optional: bool = False
    pictured: bool = True

    def at(self, **values: str) -> str | None:
        """Its address, or None when it needs something that there is not."""
        try:
            return self.path.format(**values)
        except KeyError:
            return None


PAGES = (
    DeskPage("login", "/login", open_=True),
    DeskPage("calls", "/"),
    DeskPage("call", "/calls/{call}"),
    DeskPage("call-ended", "/calls/{ended}", pictured=False),
    DeskPage("events", "/calls/{ended}/events", pictured=False),
    DeskPage("history", "/history"),
    DeskPage("figures", "/history/figures"),
    DeskPage("forget", "/history/forget", pictured=False),
    DeskPage("planner", "/planner/{caller}"),
    DeskPage("archive", "/planner/{caller}?show=archive", pictured=False),
    DeskPage("todo", "/planner/{caller}/new", pictured=False),
    DeskPage("phone", "/phone", optional=True),
    DeskPage("assistants", "/assistants"),
    DeskPage("tools", "/tools"),
    DeskPage("tool", "/tools/call/create_task"),
    DeskPage("operators", "/operators"),
    DeskPage("audit", "/audit", pictured=False),
    DeskPage("account", "/account", pictured=False),
)
