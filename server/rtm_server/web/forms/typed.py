"""A form of many fields as it arrives: text by name, bounded in number; its size is bounded by the guard."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

MOST_FIELDS = 400


async def typed(request: Request) -> dict[str, str]:
    """The text fields."""
    found = await request.form(max_fields=MOST_FIELDS, max_files=0)
    return {name: value for name, value in found.items() if isinstance(value, str)}


Form = Annotated[dict[str, str], Depends(typed)]
