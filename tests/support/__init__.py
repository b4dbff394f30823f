"""What several test files share: real servers, tiny bundles and runs, rendered pictures."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"  # real pictures, where they lie beside the checkout
