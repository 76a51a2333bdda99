"""The sizes and constants of a paired-views encoder: its own small ``config.json``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from structinit_core.errors import IncompatibleError
from structinit_core.initializers.paired_views.compute import Compute

MODEL_TYPE = "paired_views"


class PairedViewsConfig(BaseModel):
    """Sizes under Hugging Face's names, and the constants of the fit; defaults are the source's.

    The encoder is no Hugging Face family: ``model_type`` says so, and
    :func:`structinit_core.checkpoint.load_paired_views` reads it. ``vocab_size`` counts the
    tokens without the pad that masks them, whose id it is. Each head has ``landmarks``
    directions. Windows of ``max_position_embeddings`` tokens begin at every ``stride``-th token
    of a document, and ``windows`` of them are drawn, or all there are. ``mask_share``: of the
    tokens of a view; the source has .10 for text windows and .12 for its text classes.
    ``ridge``: λ of the layer solve and of the attention's output map; ``readout_ridge``: of the
    readouts, on Gram matrices that are not divided by the number of windows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    model_type: Literal["paired_views"] = "paired_views"
    vocab_size: int | None = Field(None, ge=2, lt=2**31)
    hidden_size: int = Field(64, ge=2, le=8192)
    num_hidden_layers: int = Field(3, ge=1, le=1024)
    num_attention_heads: int = Field(2, ge=1, le=1024)
    landmarks: int = Field(8, ge=1, le=8192)
    max_position_embeddings: int = Field(64, ge=2, le=1 << 16)
    layer_norm_epsilon: float = Field(1e-5, gt=0, lt=1)
    windows: int = Field(16_000, ge=2, lt=2**40)
    stride: int = Field(3, ge=1, lt=2**31)
    mask_share: float = Field(0.1, ge=0, lt=1)
    ridge: float = Field(1.0, gt=0, allow_inf_nan=False)
    eigenvalue_floor: float = Field(1e-4, gt=0, allow_inf_nan=False)
    readout_ridge: float = Field(100.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _fits(self) -> PairedViewsConfig:
        if self.hidden_size % 2:
            raise ValueError("hidden_size must be even: the position code has sines and cosines")
        rank = self.num_attention_heads * self.landmarks
        if rank > self.hidden_size:
            raise ValueError(
                f"{rank} directions (num_attention_heads × landmarks) do not fit into "
                f"hidden_size {self.hidden_size}"
            )
        return self

    def with_vocabulary(self, tokens: int) -> PairedViewsConfig:
        """The config for a tokenizer of ``tokens`` tokens.

        Raises:
            IncompatibleError: it names another size.
        """
        if self.vocab_size not in (None, tokens):
            raise IncompatibleError(
                f"the tokenizer has {tokens} tokens, the config vocab_size {self.vocab_size}",
                hint=f'set "vocab_size": {tokens} in the config, or leave it out',
            )
        return self.model_copy(update={"vocab_size": tokens})

    @property
    def tokens(self) -> int:
        """V.

        Raises:
            IncompatibleError: it is not known yet.
        """
        if self.vocab_size is None:
            raise IncompatibleError("config: vocab_size is missing")
        return self.vocab_size

    def compute(self, examples: int, feed_forward: int = 0) -> Compute:
        """The compute proxy for this many windows."""
        return Compute(
            examples=examples,
            layers=self.num_hidden_layers,
            context=self.max_position_embeddings,
            width=self.hidden_size,
            classes=self.tokens,
            heads=self.num_attention_heads,
            landmarks=self.landmarks,
            feed_forward=feed_forward,
        )


def paired_views_config(values: dict[str, Any]) -> PairedViewsConfig:
    """The checked config of a ``config.json``.

    Raises:
        IncompatibleError: another ``model_type``, an unknown key, or a value out of range.
    """
    if values.get("model_type") != MODEL_TYPE:
        raise IncompatibleError(
            f"config: model_type {values.get('model_type')!r} is not {MODEL_TYPE!r}",
            hint="the encoder is no Hugging Face family: leave the config out, or write one of "
            f'{{"model_type": "{MODEL_TYPE}", "hidden_size": 64, ...}}',
        )
    try:
        return PairedViewsConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        said = str(first["msg"]).removeprefix("Value error, ")
        raise IncompatibleError(
            f"config: {where}: {said}" if where else f"config: {said}"
        ) from error
