"""PURE: the block of a page that the bench writes."""

START = "<!-- bench:start -->"
END = "<!-- bench:end -->"
_ALTS = {
    "cost.svg": "What the path of a call's audio costs in ms of CPU a call and second",
    "growth.svg": "What a call costs against the number of calls at once",
    "latency.svg": "Added latency each way against the number of calls at once",
}


def replaced(page: str, block: str) -> str:
    """`page` with `block` between the markers. Raises ValueError when it has not one pair."""
    if page.count(START) != 1 or page.count(END) != 1 or page.index(START) > page.index(END):
        raise ValueError(f"the page needs {START} and {END} once each, in this order")
    before, _, rest = page.partition(START)
    after = rest.partition(END)[2]
    return f"{before}{START}\n{block.strip()}\n{END}{after}"


def block(report: str, folder: str, pictures: list[str]) -> str:
    """What stands between the markers: the pictures, by their folder as seen from the page, and
    the report. Without a date: the same figures make the same page.
    """
    shown = [f"![{_ALTS[name]}]({folder}/{name})" for name in pictures]
    return "\n\n".join((*shown, report))
