"""The film encoded into nothing, to learn how fast that goes and how large it becomes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import av

from remaster.errors import OutputError
from remaster.frames import Frame, VideoInfo
from remaster.media.containers import Y4M
from remaster.media.encoders import Encoding
from remaster.media.external_film import ExternalEncoding, ExternalFilmEncoder, rehearse_external
from remaster.media.film import FilmEncoder
from remaster.media.rehearsal import rehearse

__all__ = ["TrialEncoder", "trial_encoder"]

_LONGEST_KEYFRAME_INTERVAL = 250


class TrialEncoder:
    """Takes frames as the writer does, and keeps only sizes."""

    def __init__(self, film: FilmEncoder | ExternalFilmEncoder | None) -> None:
        """With None the pictures are written as they are."""
        self._film = film
        self._frames = 0
        self._keyframes: list[int] = []
        self._others: list[int] = []

    def write(self, frame: Frame | None) -> None:
        """Encode one frame, or with None what the encoder still holds."""
        self._frames += frame is not None
        if self._film is not None:
            for packet in self._film.encode(frame):
                (self._keyframes if packet.is_keyframe else self._others).append(packet.size)
        elif frame is not None:
            self._keyframes.append(sum(plane.nbytes for plane in frame.planes))

    def bytes_of(self, frames: int) -> float:
        """How large a film of so many frames would be.

        A short trial begins with a keyframe that a film has only now and then.
        """
        if not self._frames:
            return 0.0
        keys = len(self._keyframes)
        share = max((keys - 1) / max(self._frames - 1, 1), 1 / _LONGEST_KEYFRAME_INTERVAL)
        key = sum(self._keyframes) / max(keys, 1)
        other = sum(self._others) / len(self._others) if self._others else key
        expected_keys = 1 + share * (frames - 1)
        return expected_keys * key + (frames - expected_keys) * other


@contextmanager
def trial_encoder(video: VideoInfo, encoding: Encoding, container: str) -> Iterator[TrialEncoder]:
    """An encoder set up as for a file; nothing reaches a disk.

    Raises OutputError when it fails, or when the container would forget what `video` says.
    """
    if container == Y4M:
        yield TrialEncoder(None)
        return
    try:
        with ExitStack() as resources:
            film: FilmEncoder | ExternalFilmEncoder
            if isinstance(encoding, ExternalEncoding):
                rehearse_external(video, encoding, container)
                film = resources.enter_context(ExternalFilmEncoder(video, encoding))
            else:
                rehearse(video, encoding, container)
                output = resources.enter_context(av.open(io.BytesIO(), "w", format=container))
                film = FilmEncoder(output, video, encoding)
                output.start_encoding()
            yield TrialEncoder(film)
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(
            f"{encoding.codec} fails on this film ({getattr(error, 'strerror', None) or error}): "
            f"choose another --codec."
        ) from error
