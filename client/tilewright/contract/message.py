"""The base of everything that crosses a process boundary."""

from collections.abc import Mapping
from typing import Annotated, Any, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from tilewright.contract.plain import plain
from tilewright.errors import InvalidRequest


class Message(BaseModel):
    """Frozen, and closed: a key that it does not know is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(Message):
    """What users write. It takes numbers and arrays of NumPy, and says what is wrong with a field as InvalidRequest."""

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**plain(fields))
        except ValidationError as error:
            raise InvalidRequest.from_validation(error, type(self)) from error

    # Else pydantic would come through here for an Input inside another, whose error then had no path.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        try:
            return super().model_validate(plain(obj), **options)
        except ValidationError as error:
            raise InvalidRequest.from_validation(error, cls) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """With an identity of its own, and as valid as any other."""
        fields = {name: getattr(self, name) for name in self.model_fields_set}  # and no property that was cached
        return type(self)(**{**fields, **(update or {})})

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        kind = type(self).__name__
        raise InvalidRequest(f"a {kind} does not change: make another, {kind}(**{{**it.model_dump(), {name!r}: ...}})")


RowId = Annotated[StrictInt, Field(ge=1, le=2**63 - 1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="64 hexadecimal digits")]
DatabaseId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
PlainName = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
"""Without control characters: it is stored, and shown in terminals."""
Latency = Annotated[float, Field(gt=0, le=1e12)]
