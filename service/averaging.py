"""What a federated round comes to: the updates that can be decoded, their mean by sample weight, and what happened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import cabacus
from cabacus.dtypes import BY_NAME, cast_from_float, dtype_name, to_float
from cabacus.errors import CabacusError
from cabacus.federated import Base, UpdateDecoder
from cabacus.federated.sending import check_alike
from cabacus.files import Tensors
from cabacus.service.job import Failure


class TooFew(Exception):
    """Fewer updates could be used than the round needs."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def averaged(inputs: Mapping[str, Path], options: Mapping[str, Any], path: Path, progress: Any) -> dict[str, Any]:
    """Write the weighted mean to `path`, and return the report.

    inputs: "model", the base, and "update-0" and so on, one for each of the options' `clients`, pairs of name and
    samples. An update is a coded difference to the base or a file of tensors; one that cannot be used is left out, and
    the report says why. The mean is taken in float64 and has the types of the base; integers are rounded.

    Raises TooFew.
    """
    base = cabacus.read(inputs["model"])
    known = Base(base)  # whose digest is computed once for all updates
    raw = sum(tensor.size * BY_NAME[dtype_name(tensor)].itemsize for tensor in base.values())
    total = {name: np.zeros(tuple(tensor.shape), np.float64) for name, tensor in base.items()}
    rows: list[dict[str, Any]] = []
    weight = 0
    # One at a time: a round of a thousand clients holds the base, the sum and a single update.
    for number, (client, samples) in enumerate(options["clients"]):
        file = inputs[f"update-{number}"]
        row = {"client": client, "samples": samples, "bytes": file.stat().st_size, "coded": file.suffix == ".cabac"}
        try:
            tensors = _tensors(file, known)
        except CabacusError as error:
            rows.append({**row, "used": False, "reason": str(error)})
            continue
        finally:
            progress(number + 1, len(options["clients"]))
        for name, sum_ in total.items():
            sum_ += np.asarray(to_float(tensors[name]), np.float64) * samples
        weight += samples
        rows.append({**row, "used": True, "reason": None})
    used = [row for row in rows if row["used"]]
    if len(used) < max(int(options.get("minimum", 1)), 1):
        reasons = "; ".join(f"{row['client']}: {row['reason']}" for row in rows if not row["used"])
        detail = f"{len(used)} updates could be used, the round needs {options.get('minimum', 1)}. {reasons}".strip()
        raise TooFew(Failure("too_few_updates", detail[:2000]))
    cabacus.write(path, Tensors({name: _cast(total[name] / weight, base[name]) for name in base}, base.metadata))
    sent = sum(row["bytes"] for row in used)
    return {
        "round": options.get("round"),
        "clients": rows,
        "missing": list(options.get("missing", ())),
        "samples": weight,
        "bytes": sent,
        "original_bytes": raw * len(used),
        "ratio": raw * len(used) / sent,
        "bits_per_weight": 8 * sent / max(len(used) * sum(tensor.size for tensor in base.values()), 1),
    }


def _tensors(file: Path, base: Base) -> Mapping[str, Any]:
    if file.suffix == ".cabac":
        return UpdateDecoder().decode(file.read_bytes(), base)
    tensors = cabacus.read(file)
    check_alike(tensors, base)
    for name, tensor in tensors.items():
        if BY_NAME[dtype_name(tensor)].kind == "float" and not np.isfinite(to_float(tensor)).all():
            raise cabacus.InputError(f"tensor {name!r} has NaN or infinities", tensor=name)
    return tensors


def _cast(mean: Any, like: Any) -> Any:
    """In the type of the base; integers are rounded, and a bool is what most say."""
    kind = dtype_name(like)
    return mean > 0.5 if kind == "bool" else cast_from_float(mean, kind)
