"""What a user gave cannot be used: one sentence with place, finding, rule and remedy."""


class InputError(ValueError):
    """Input that cannot be used (exit code 2): `where: found, but rule; remedy`.

    where: file, key, row; found: what is there; rule: what has to be there; remedy: what to do.
    """

    def __init__(self, *, where: str, found: str, rule: str, remedy: str):
        self.where, self.found, self.rule, self.remedy = where, found, rule, remedy
        super().__init__(on_one_line(f"{where}: {found}, but {rule}; {remedy}"))

    def inside(self, place: str) -> "InputError":
        """The same error, its place named more fully: `place, where`."""
        return InputError(where=f"{place}, {self.where}", found=self.found, rule=self.rule, remedy=self.remedy)

    def __reduce__(self):
        return _rebuild, (self.where, self.found, self.rule, self.remedy)


class NotFinite(ArithmeticError):
    """What was computed is NaN or infinite (exit code 1, one sentence); nothing of it was written."""


def on_one_line(text: str) -> str:
    """A text whose line breaks, and all else that cannot be printed, are escaped: names of files may hold them."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: Exception) -> str:
    """What a library said, which may be a page, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def field(table: str, name: str, value: object, rule: str) -> InputError:
    """What to raise when a field of a configuration's table has a value that it cannot have."""
    return InputError(
        where=f"[{table}] {name}", found=f"is {value}", rule=rule, remedy=f"change it, or --set {table}.{name}=..."
    )


def check_least(table: str, name: str, value: float, least: float) -> None:
    """Raise unless the field is at least so much."""
    if not value >= least:
        raise field(table, name, value, f"it must be at least {least}")


def check_choice(table: str, name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise unless the field is one of these."""
    if value not in choices:
        raise field(table, name, value, f"it must be one of {', '.join(choices)}")


def missing_extra(package: str, extra: str) -> InputError:
    """What to raise when an optional package is not installed."""
    return InputError(
        where=package,
        found="is not installed",
        rule="this command needs it",
        remedy=f"pip install 'calojax[{extra}]'",
    )


def _rebuild(where: str, found: str, rule: str, remedy: str) -> InputError:
    return InputError(where=where, found=found, rule=rule, remedy=remedy)
