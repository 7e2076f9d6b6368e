"""Every error that hwnas raises on purpose, with the exit code that the command line gives for it.

::

    HwnasError                      exit code
    ├── UsageError                  2   bad input: configuration, data, names, files
    │   ├── ConfigError             2   a TOML file, an option or a value in one
    │   ├── UnknownNameError        2   a name that no registry or folder has (with a suggestion)
    │   ├── DataError               2   images, labels, data sets
    │   ├── TableError              2   a latency table: torn, edited, foreign, or lacking blocks
    │   ├── PredictorError          2   a predictor: torn, or of another space
    │   ├── CheckpointError         2   weights or a checkpoint: torn, or of something else
    │   ├── TrainingDiverged        2   the loss is no longer a number: the learning rate is too high
    │   ├── TrainingProcessLost     2   a process of the training ended: memory is too short for its threads and batch
    │   └── UnsupportedOpError      2   a network with an operation that cannot be exported
    ├── DeviceError                 3   the device cannot be used or measured
    │   ├── Unreachable             3   no connection: name, network, port, or nobody answers
    │   ├── AuthFailed              3   the device does not let this user or key in
    │   ├── HostKeyMismatch         3   the device's host key is not the one that is pinned, or none is
    │   ├── PageRefused             3   a request to the page's server that is turned away: the page is told, no command ends
    │   ├── AgentTimeout            3   no word from the agent within its deadline
    │   ├── DeviceLost              3   the agent or its transport ended before it said it was done
    │   ├── ProtocolError           3   the agent said something that the protocol does not allow
    │   ├── DeviceChanged           3   another runtime, processor or system than in the timings so far
    │   └── TooNoisy                3   measured, but not precisely enough to be believed
    │       └── DeviceFaster        3   files were timed at a faster speed of the device than its table
    ├── BudgetMissed                4   nothing fits the budget when measured on the device
    ├── VerificationError           5   parity, accuracy drop, a changed or unsafe artifact
    ├── InfeasibleError             6   no architecture of the space can fit the budget
    ├── RegressionError             7   worse than an accepted baseline
    │   └── TableOutdated           7   the device no longer takes what its latency table says
    └── Interrupted               130   stopped by the user; what was finished is kept

A message is one line that says what is wrong, where, and what to do. Whatever else ends a command is a fault of hwnas itself.
"""

from __future__ import annotations


class HwnasError(Exception):
    """Root of the tree; ``exit_code`` is what the command line exits with."""

    exit_code = 1


class UsageError(HwnasError):
    """Input that cannot be used as given."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration file, an option, or a value in one."""


class UnknownNameError(UsageError):
    """A name that is not known where it was looked up."""


class DataError(UsageError):
    """Images, labels or a data set."""


class TableError(UsageError):
    """A latency table."""


class PredictorError(UsageError):
    """A stored predictor."""


class CheckpointError(UsageError):
    """A file of weights that is torn, or of something else than is to be loaded."""


class TrainingDiverged(UsageError):
    """The loss is no longer a number."""


class TrainingProcessLost(UsageError):
    """A process that computes a share of the batch ended, most likely for lack of memory."""


class UnsupportedOpError(UsageError):
    """An operation that an emitter cannot write; ``operation`` names it, ``where`` is the path of the module that uses it."""

    def __init__(self, operation: str, where: str, *, hint: str = "") -> None:
        self.operation = operation
        self.where = where
        super().__init__(f"{where or 'the module'}: cannot export {operation}{'; ' + hint if hint else ''}")


class DeviceError(HwnasError):
    """The device cannot be used or measured."""

    exit_code = 3


class Unreachable(DeviceError):
    """No connection to the device: its name, the network, the port, or nobody answers there."""


class AuthFailed(DeviceError):
    """The device does not let this user or key in."""


class HostKeyMismatch(DeviceError):
    """The device's host key is not the one that is pinned for it, or none is pinned."""


class PageRefused(DeviceError):
    """A request to the server of a page agent that is turned away with ``status`` of HTTP; 409 means: come back with your key."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class AgentTimeout(DeviceError):
    """No word from the agent within its deadline."""


class DeviceLost(DeviceError):
    """The agent or its transport ended before it said it was done."""


class ProtocolError(DeviceError):
    """The agent said something that the protocol does not allow."""


class DeviceChanged(DeviceError):
    """The device has another runtime, processor or system than in the timings so far: the two do not belong into one table."""


class TooNoisy(DeviceError):
    """Measured, but not precisely enough to be believed."""


class DeviceFaster(TooNoisy):
    """Files were timed at a faster speed than the table of ``what``, with the probe at ``quiet_level_us``: measure that again."""

    def __init__(self, message: str, *, what: object, quiet_level_us: float) -> None:
        super().__init__(message)
        self.what = what
        self.quiet_level_us = quiet_level_us


class BudgetMissed(HwnasError):
    """Nothing fits the budget when measured on the device."""

    exit_code = 4


class VerificationError(HwnasError):
    """Parity or accuracy is off, or an artifact was changed or is unsafe."""

    exit_code = 5


class InfeasibleError(HwnasError):
    """No architecture of the space can fit the budget."""

    exit_code = 6


class RegressionError(HwnasError):
    """Worse than an accepted baseline."""

    exit_code = 7


class TableOutdated(RegressionError):
    """Blocks that were timed again no longer take what the latency table says."""


class Interrupted(HwnasError):
    """Stopped by the user; what was finished is kept."""

    exit_code = 130
