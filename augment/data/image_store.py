"""Open the image of a dataset record: the one module that knows where the images lie and how they are scaled."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2

from augment.data.feedback import FEEDBACK, PICTURES
from augment.data.sources import picture_tree, source_root
from augment.record_types import DatasetRecord, FileFacts
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from edge_runtime.bundle.radiometric import RANGE, RadiometricRule, plain
from edge_runtime.media.image_files import ReadImage, read_image


def resize_by_area(frame: Frame, width: int, height: int) -> Frame:
    """Resize a picture to `width` x `height` pixels; every pixel is the mean of the area that it covers."""
    resized: Frame = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    return resized


def unscaled_hint(facts: Sequence[FileFacts], rule: RadiometricRule | None) -> str:
    """Say what to write in settings for the radiometric files that were left out; "" where none was."""
    if not (left_out := [one for one in facts if one.reason and one.span]):
        return ""
    low, high = _whole_span(left_out)
    seen = f"{len(left_out)} images are radiometric and left out, with values from {low} to {high}"
    remedy = f'set data.radiometric, such as "range {low} {high}" or "percentiles 1 99"'
    if rule:
        remedy = f'data.radiometric, "{rule}", is in another unit; "percentiles 1 99" needs none'
    elif max(one.span[0] for one in left_out) > min(one.span[1] for one in left_out):
        remedy = 'they are in several units, it seems; set data.radiometric = "percentiles 1 99", which needs none'
    return f"{seen}: {remedy} (first {left_out[0].id})"


def radiometric_hints(facts: Sequence[FileFacts], rule: RadiometricRule | None) -> list[str]:
    """Say how many of the files are radiometric, which values they hold, and what the settings make of them."""
    scaled = [one for one in facts if not one.reason and one.span]
    hints = [hint] if (hint := unscaled_hint(facts, rule)) else []
    if scaled and rule:
        low, high = _whole_span(scaled)
        hints.append(f'{len(scaled)} images are radiometric, with values from {low} to {high}, scaled by "{rule}"')
        if beyond := [one for one in scaled if rule.rule == RANGE and one.span[1] > rule.high]:
            hints.append(
                f"{len(beyond)} of them have values above {plain(rule.high)}, all white (first {beyond[0].id})"
            )
        if others := [one for one in facts if not one.reason and not one.span]:
            hints.append(
                f"{len(others)} images have 8 bits and are taken as they are, beside radiometric ones: the two kinds "
                f"look different whatever they show (first {others[0].id})"
            )
    return hints


def _whole_span(facts: Sequence[FileFacts]) -> tuple[str, str]:
    """Return the least and the greatest value of several radiometric files, in words."""
    return plain(min(one.span[0] for one in facts)), plain(max(one.span[1] for one in facts))


class ImageStore:
    """Opens the images of one run's data source."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.data
        self._rule = settings.data.radiometric_rule

    @cached_property
    def root(self) -> Path:
        """The folder that the paths of the records start at."""
        return source_root(self._data)

    def path(self, record: DatasetRecord) -> Path:
        """Return the path of the record's file, fetched from its store; InputError where it has changed there."""
        if self._data.feedback and record.origin == FEEDBACK:
            return Path(self._data.feedback) / PICTURES / record.path.partition("/")[2]
        path = self.root / record.path
        tree = picture_tree(self._data)
        return tree.ensure(path, record.sha256) if tree else path

    def read(self, path: Path) -> ReadImage:
        """Read a file of the source, a radiometric picture by the rule of the settings; InputError as `read_image`."""
        return read_image(path, radiometric=self._rule)

    def frame(self, record: DatasetRecord) -> Frame:
        """Return the record's image, uint8 (H, W, 3) BGR, upright. Raises InputError where its size is another."""
        frame = self.read(self.path(record)).frame
        if frame.shape[:2] != (record.height, record.width):
            seen, expected = f"{frame.shape[1]} x {frame.shape[0]}", f"{record.width} x {record.height}"
            raise InputError(
                f"{self.path(record)} is {seen} pixels, the dataset document says {expected}: "
                "the image has changed; run `rarefault dataset` again"
            )
        return frame

    def reduced(self, record: DatasetRecord, spec: PreprocessSpec) -> Frame | None:
        """Return the record's image decoded as small as `spec` allows; None where it can only be decoded whole."""
        if spec.reduction(record.height, record.width) == 1:
            return None
        frame = read_image(self.path(record), replace(spec, decode="reduced")).frame
        return None if frame.shape[:2] == (record.height, record.width) else frame
