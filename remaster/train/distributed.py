"""Several processes that train one network together, as `torchrun` starts them.

Gradients are averaged here rather than by torch's wrapper: that one allows neither parameters that
a step leaves out (a network with several tails, stages that come in later) nor the second
derivatives of a critic's penalty.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one reads, writes and speaks."""
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Let all processes have the mean of their gradients; those without one stay without."""
        own = [p.grad for p in parameters if p.grad is not None]
        if self.count > 1:
            for gradient, mean in zip(own, self.averaged(own)):
                gradient.copy_(mean)

    def averaged(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The means of tensors over all processes."""
        if self.count == 1 or not tensors:
            return tensors
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        parts = flat.split([t.numel() for t in tensors])
        return [part.view_as(tensor) for part, tensor in zip(parts, tensors)]

    def gathered(self, own: T) -> list[T]:
        """What every process has, in all of them."""
        found: list[Any] = [own]
        if self.count > 1:
            found = [None] * self.count
            dist.all_gather_object(found, own)
        return found

    def agreed(self, number: float) -> float:
        """What the first process says, in all of them."""
        if self.count == 1:
            return number
        said = torch.tensor(number, dtype=torch.float64)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        said = said.to(device)
        dist.broadcast(said, 0)
        return float(said)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            dist.barrier()


LONGEST_WAIT = timedelta(hours=24)
"""For the first process, which prepares the material alone."""


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes that `torchrun` started, by nccl on CUDA and gloo elsewhere; else this one."""
    if process_count() == 1:
        yield Ranks()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=LONGEST_WAIT, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=LONGEST_WAIT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def process_count() -> int:
    """How many processes `torchrun` has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def local_rank() -> int:
    """Which of this machine's processes this one is: the number of its CUDA device."""
    return int(os.environ.get("LOCAL_RANK", "0"))
