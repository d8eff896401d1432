"""Every error that ends a run: one root, and the exit code on the class."""

from typing import ClassVar


class DebloatError(Exception):
    """A run that ends: `message` says what cannot be done and why, `hint` what to do about it."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InternalError(DebloatError):
    """An invariant of debloat itself is broken."""


class GateFailed(DebloatError):
    """The image breaks a rule of the gate."""

    exit_code = 1


class UsageError(DebloatError):
    """The command line, the configuration, a lock or a trace cannot be used as it is."""

    exit_code = 2


class EngineUnavailable(DebloatError):
    """The container engine cannot be reached or refuses what is asked of it."""

    exit_code = 3


class SensorUnavailable(DebloatError):
    """The sensor cannot be built, placed or started, or it recorded blindly."""

    exit_code = 3


class WorkersUnavailable(DebloatError):
    """What carries out the items of a fleet cannot be reached, has gone, or is another version."""

    exit_code = 3


class OriginalFails(DebloatError):
    """The original image does not pass its own probes."""

    exit_code = 4


class MinimalFails(DebloatError):
    """The minimal image does not answer as the original did."""

    exit_code = 5


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP arrived. Like KeyboardInterrupt it is no error that anything on its way may handle."""

    exit_code: ClassVar[int] = 130

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
