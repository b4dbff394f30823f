"""The two-class question about solar cells as a data set: `python -m benchmarks.solar_cells FOLDER`.

Deitsch et al. 2019 (Solar Energy 185) call a cell of elpv-dataset defective from a defect probability of a half on.
FOLDER gets a `manifest.csv` that labels every cell so, apart by its type, and a link to the package's pictures. Then:

    rarefault benchmark spots --data FOLDER/manifest.csv --fault mono_defective --fault poly_defective \\
      --group mono=mono_functional,mono_defective --group poly=poly_functional,poly_defective \\
      --split random --size 320 --out DIR

`--split random` are five folds of single cells, as in the paper; `--split groups` keeps look-alikes on one side.
"""

import csv
from pathlib import Path

import click

from augment.data.sources import ELPV_PACKAGE, list_candidates, source_root
from augment.settings import DataSettings

DEFECTIVE = 50  # per cent of defect probability from which a cell counts as defective


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def main(folder: Path) -> None:
    """Write the manifest, and link the pictures."""
    data = DataSettings(source=ELPV_PACKAGE)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = folder / "images"
    if not pictures.exists():
        pictures.symlink_to(source_root(data) / "images")
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label"))
        for candidate in list_candidates(data).candidates:
            rows.writerow((candidate.path, two_class(candidate.label)))
    click.echo(f"{folder / 'manifest.csv'} written")


def two_class(label: str) -> str:
    """Turn a label of the package, such as mono_67, into its type and whether the cell is defective."""
    kind, per_cent = label.split("_")
    return f"{kind}_{'defective' if int(per_cent) >= DEFECTIVE else 'functional'}"


if __name__ == "__main__":
    main()
