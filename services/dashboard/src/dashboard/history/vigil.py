"""Takes forgotten calls off the board of this desk, whichever desk or command forgot them."""

import asyncio
import contextlib

from dashboard.database import WITHIN_S, Database, DatabaseAway, DeadlineMissed
from dashboard.history import forgotten
from dashboard.live.board import Board
from runtime import sql

EVERY_S = 2.0


async def vigil(db: Database, board: Board) -> None:
    """Look every two seconds, for ever."""
    while True:
        with contextlib.suppress(DatabaseAway, DeadlineMissed):
            await drop_forgotten(db, board)
        await asyncio.sleep(EVERY_S)


async def drop_forgotten(db: Database, board: Board) -> None:
    """Take off the board what was forgotten lately. Raises DatabaseAway, DeadlineMissed."""
    async with db.transaction(WITHIN_S) as connection:
        rows = await connection.fetch(sql.load("dashboard.history", "retention.sql")["recent"])
        if not rows:
            return
        key = await forgotten.key_of(connection)
    hashes = {row["hash"] for row in rows}
    for row in board.rows():
        if forgotten.hash_of(key, row.call_id) in hashes:
            board.drop(row.call_id)
