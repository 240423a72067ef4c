"""What is a doorbell called, and what is sent when it rings? The same on every broker."""

from __future__ import annotations

from dramatiq import Broker, Message

APPLY = "apply"  # events wait to be folded
DUE = "due"  # timed checks have come due
DELIVER = "deliver"  # messages wait to be sent


def queue_of(prefix: str, bell: str) -> str:
    """The name of a bell's queue, or list, on the broker."""
    return f"{prefix}.bell.{bell}"


def bell_of(queue: str) -> str:
    return queue.rpartition(".")[2]


def ring_for(queue: str) -> Message[None]:
    """A message that says "there is work", and nothing else."""
    return Message(queue_name=queue, actor_name=bell_of(queue), args=(), kwargs={}, options={})


def ring(broker: Broker, prefix: str, bell: str) -> None:
    """Raises whatever the broker raises; then nobody was told."""
    broker.enqueue(ring_for(queue_of(prefix, bell)))
