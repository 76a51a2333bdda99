"""The compute proxy of seed 002: multiply-adds of forward passes, and what they leave out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Compute:
    """Multiply-adds of each part of the protocol, as the source counts them.

    ``examples`` n, ``layers`` L, ``context`` T, ``width`` d, ``classes`` C, ``heads`` H of
    ``landmarks`` directions each, ``feed_forward`` width of the network trained from scratch.
    Left out, as in the source: backward passes, softmaxes, covariances, eigenvectors and the
    ridge solve, so a fit is charged too little. Source: the benchmark's ``estimate_*`` functions.
    """

    examples: int
    layers: int
    context: int
    width: int
    classes: int
    heads: int
    landmarks: int
    feed_forward: int

    @property
    def rank(self) -> int:
        """Directions of all heads together."""
        return self.heads * self.landmarks

    def backprop_epoch(self) -> int:
        """One epoch of the network trained from scratch: n·L·(4Td² + 2T²d + 2Td·F + dC)."""
        t, d = self.context, self.width
        block = 4 * t * d * d + 2 * t * t * d + 2 * t * d * self.feed_forward
        return self.examples * self.layers * (block + d * self.classes)

    def fine_tune_epoch(self) -> int:
        """One epoch of the spectral network: n·L·(2Td² + Tdr + T²r + H·T²d + H·Td² + dC)."""
        t, d = self.context, self.width
        mixing = self.heads * (t * t * d + t * d * d)
        block = 2 * t * d * d + self._scores() + mixing
        return self.examples * self.layers * (block + d * self.classes)

    def initialisation(self) -> int:
        """The fit, of two views, and moving three: L·(2n + 3n)·(Tdr + T²r + T²d + Td²)."""
        return 5 * self.encoding()

    def encoding(self) -> int:
        """One pass of the frozen encoder over the examples."""
        t, d = self.context, self.width
        return self.layers * self.examples * (self._scores() + t * t * d + t * d * d)

    def head_training(self, epochs: int) -> int:
        """A linear head on the features of all depths: 2·epochs·n·d(L + 1)·C."""
        return 2 * epochs * self.examples * self.width * (self.layers + 1) * self.classes

    def matched_steps(self, epochs: int, steps_per_epoch: int, *, charged: bool = True) -> int:
        """Steps of the spectral network in what ``epochs`` from scratch cost, the fit deducted.

        Not ``charged``, nothing is deducted: the network starts at random.
        """
        left = epochs * self.backprop_epoch() - (self.initialisation() if charged else 0)
        return max(0, left) * steps_per_epoch // self.fine_tune_epoch()

    def _scores(self) -> int:
        return self.context * self.rank * (self.width + self.context)
