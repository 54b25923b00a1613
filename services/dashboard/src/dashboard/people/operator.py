"""An operator of a request, and what their role allows. Set by ``guard``; pages ask
``operator_of(request)`` or wrap a handler in ``require(role)``.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import wraps
from typing import Literal, get_args

from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least to the most: each may do what those before it may."""
MEANINGS: dict[Role, str] = {
    "viewer": "sees calls and todos, numbers masked",
    "operator": "acts on calls and todos, reveals numbers",
    "admin": "acts, reveals, manages operators, reads the audit trail",
}

Handler = Callable[[Request], Awaitable[ASGIApp]]
"""A page: a response, or what streams one."""


class Operator(Struct, frozen=True):
    """Who asks. ``by_link``: this session was begun with a one-time link."""

    name: str
    role: Role
    by_link: bool = False
    has_password: bool = True

    def may(self, role: Role) -> bool:
        """Does their role allow what ``role`` allows?"""
        return ROLES.index(self.role) >= ROLES.index(role)


MACHINE = Operator("(machine)", "viewer")
"""Who asks with DASHBOARD_TOKEN."""

current: ContextVar[Operator | None] = ContextVar("operator", default=None)
"""Whose request is being handled; templates read it as ``operator``."""


def operator_of(request: Request) -> Operator:
    """Who asks. Raises HTTPException(401) on an address that the guard leaves open."""
    found: Operator | None = getattr(request.state, "operator", None)
    if found is None:
        raise HTTPException(401, "Log in first.")
    return found


def require(role: Role) -> Callable[[Handler], Handler]:
    """A handler that only operators of ``role`` or more reach; others get 403, in words."""

    def around(handler: Handler) -> Handler:
        @wraps(handler)
        async def checked(request: Request) -> ASGIApp:
            operator = operator_of(request)
            if not operator.may(role):
                raise HTTPException(
                    403, f"This needs the role {role}; you are {operator.name}, {operator.role}."
                )
            return await handler(request)

        return checked

    return around


def role_of(text: str) -> Role | None:
    """``text`` as a role, or None."""
    return text if text in ROLES else None
