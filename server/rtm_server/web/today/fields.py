"""What the patient's forms hold."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class StartForm(BaseModel):
    """Which exercise begins."""

    model_config = ConfigDict(extra="forbid")

    exercise: Annotated[str, Field(min_length=1, max_length=80)]


class PainForm(BaseModel):
    """0 to 10."""

    model_config = ConfigDict(extra="forbid")

    value: Annotated[int, Field(ge=0, le=10)]
