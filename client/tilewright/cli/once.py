"""Options that are given once."""

from collections import Counter
from typing import Any

import typer
from typer.core import TyperCommand


class OnceCommand(TyperCommand):
    """Refuses an option that comes twice: its first value would be dropped without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(list(args))
            for parameter, times in Counter(given).items():
                if times > 1 and not getattr(parameter, "is_flag", False) and parameter.nargs == 1:
                    ctx.fail(f"{max(parameter.opts, key=len)} is given {times} times; it takes one value")
        return super().parse_args(ctx, args)


class App(typer.Typer):
    def command(self, name: str | None = None, **options: Any) -> Any:
        return super().command(name, cls=OnceCommand, **options)
