"""The base of everything that crosses a process boundary."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt


class Message(BaseModel):
    """Frozen, and closed: a key that it does not know is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


RowId = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Latency = Annotated[float, Field(gt=0, le=1e12)]
