"""Every error a user can cause.

RemasterError
├── OptionsError       an option or a combination of options that cannot be met
├── SourceError        an input that is missing, is no video, or cannot be decoded
├── OutputError        an output path, container or encoder that cannot be used
│   └── VerificationError   what was written does not match the source
├── CheckpointError    a weights file that is missing, damaged or of another shape
├── DataError          training material that is missing or unusable
├── TrainingError      a training that cannot go on: numbers that are not finite any more
└── MemoryShortage     the smallest unit of work does not fit in memory

Messages say what was given, what is allowed and what to do. Our own mistakes are plain assertions.
"""


class RemasterError(Exception):
    """What the command line prints as one line, with a non-zero exit code."""


class OptionsError(RemasterError):
    """An option, or a combination of options, that cannot be met."""


class SourceError(RemasterError):
    """An input that is missing, holds no video, or cannot be decoded."""


class OutputError(RemasterError):
    """An output path, container or encoder that cannot be used."""


class VerificationError(OutputError):
    """The written file does not match its source; it is not put in place."""


class CheckpointError(RemasterError):
    """A weights file that is missing, damaged, of another shape, or unsafe."""


class DataError(RemasterError):
    """Training material that is missing or unusable."""


class TrainingError(RemasterError):
    """A training that cannot go on."""


class MemoryShortage(RemasterError):
    """Even the smallest unit of work does not fit in memory."""
