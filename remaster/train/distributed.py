"""Several processes that train one network together, as `torchrun` starts them.

Gradients are averaged here rather than by torch's wrapper: that one allows neither parameters that
a step leaves out (a network with several tails, stages that come in later) nor the second
derivatives of a critic's penalty.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


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
        if self.count > 1:
            self._average([p.grad for p in parameters if p.grad is not None])

    def average_buffers(self, model: nn.Module) -> None:
        """Let all processes have the mean of what normalisation has counted."""
        if self.count > 1:
            self._average([b for b in model.buffers() if b.is_floating_point()])

    def _average(self, tensors: list[Tensor]) -> None:
        if not tensors:
            return
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors])):
            tensor.copy_(mean.view_as(tensor))

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


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The processes that `torchrun` started, by nccl on CUDA and gloo elsewhere; else this one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield Ranks()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def local_rank() -> int:
    """Which of this machine's processes this one is: the number of its CUDA device."""
    return int(os.environ.get("LOCAL_RANK", "0"))
