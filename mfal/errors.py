"""Errors that say what happened, why, and what to do about it."""


class MfalError(Exception):
    """Base of every error a user is meant to read.

    Args:
        message: What is wrong, naming the file and the field where there is one.
        hint: What would be right, or what to do next.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[type["MfalError"], tuple[str, str]]:
        # Exceptions cross process borders (oracle workers); both parts must survive.
        return type(self), (self.message, self.hint)


class ConfigError(MfalError):
    """A configuration that cannot be used as written."""


class UnknownNameError(MfalError):
    """A name that the registry does not know, or an option that a component does not take."""


class InvalidKeyError(MfalError):
    """A candidate that is not part of the problem's search space."""


class MissingDependencyError(MfalError):
    """An optional package that is needed here and not installed."""


class LedgerError(MfalError):
    """A ledger that cannot be opened, belongs to another configuration, or is in use."""


class NoLedgerError(LedgerError):
    """A campaign that is to be looked at and has not begun."""


class BudgetError(MfalError):
    """A budget that does not pay for a single query."""


class SurrogateError(MfalError):
    """A surrogate that could not be fitted to the data at hand."""


class DataError(MfalError):
    """Data of a user that cannot be used as they are."""


class OracleError(MfalError):
    """An oracle that has answered nothing that it was asked."""


class TransientError(MfalError):
    """Something that may well succeed a little later: a network, a licence, a queue that is full.

    For oracles to raise. The query is asked again after a while, see `scoring.retries`.
    """
