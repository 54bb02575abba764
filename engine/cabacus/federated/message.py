"""What encoding an update gives: the message, and what the sender keeps."""

from __future__ import annotations

from dataclasses import dataclass

from cabacus.dtypes import Array
from cabacus.files import Tensors

__all__ = ["EncodedUpdate"]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedUpdate:
    """A coded update: the message, and what the sender keeps.

    data: the message, a `.cabac` file of differences to the base, whose digest it names.
    decoded: the tensors as the receiver will have them, bit for bit.
    residual: what is still unsaid, by name: float32 (float64 of float64 tensors) arrays of the tensors' shapes. Store
        it, and give it to the next `encode`. Empty without error feedback.
    parameters, raw_bytes: elements of all tensors, and their bytes uncoded.
    squared_error, squared_update: sums of squares over the floating tensors, of the residual and of the update.
    """

    data: bytes
    decoded: Tensors
    residual: dict[str, Array]
    parameters: int
    raw_bytes: int
    squared_error: float
    squared_update: float

    @property
    def bits_per_parameter(self) -> float:
        """8 x bytes of the message / elements; 0 for nothing."""
        return 8 * len(self.data) / max(self.parameters, 1)

    @property
    def ratio(self) -> float:
        """Bytes uncoded / bytes of the message."""
        return self.raw_bytes / len(self.data)

    @property
    def distortion(self) -> float:
        """Share of the update's energy that the message leaves out: 0 is exact."""
        return self.squared_error / self.squared_update if self.squared_update else 0.0

    @property
    def metrics(self) -> dict[str, float]:
        """The figures to log: bytes, raw_bytes, bits_per_parameter, distortion."""
        return {
            "bytes": float(len(self.data)),
            "raw_bytes": float(self.raw_bytes),
            "bits_per_parameter": self.bits_per_parameter,
            "distortion": self.distortion,
        }
