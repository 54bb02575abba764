"""Writes the vectors: files good, bad and unsupported as annotated hex text. `make vectors` runs it.

The bytes are made by tests/reference, not by the package. Lines of a vector:

    # ...                  a comment
    = KEY JSON             what a reader finds: see `vectors.text`
    AB 43 42 43  # magic   bytes of the file, and what they are
"""

from __future__ import annotations

from pathlib import Path

from vectors import bad, good, left_out
from vectors.text import Vector, dump

FOLDER = Path(__file__).parent


def vectors() -> list[Vector]:
    """All of them, in the order of their names."""
    made = [*good.vectors(), *bad.vectors(), *left_out.vectors()]
    assert len({vector.name for vector in made}) == len(made)
    return sorted(made, key=lambda vector: vector.name)


def main() -> None:
    """Write every vector anew and remove what is no longer made."""
    texts = {f"{vector.name}.hex": dump(vector) for vector in vectors()}
    for path in FOLDER.glob("*.hex"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(texts)} vectors")


if __name__ == "__main__":
    main()
