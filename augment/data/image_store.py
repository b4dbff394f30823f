"""From a dataset record to its pixels: the one place that knows where the images lie."""

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from augment.data.sources import source_root
from augment.records import Record
from augment.settings import Settings
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.preprocess import Frame, PreprocessSpec
from edge_runtime.media.image_files import read_image


class ImageStore:
    """Opens the images of one run's data source."""

    def __init__(self, settings: Settings) -> None:
        self._data = settings.data

    @cached_property
    def root(self) -> Path:
        """The folder to which record paths are relative."""
        return source_root(self._data)

    def path(self, record: Record) -> Path:
        """Where the record's file lies."""
        return self.root / record["path"]

    def frame(self, record: Record) -> Frame:
        """The record's image, uint8 (H, W, 3) BGR, upright. Raises InputError where it is not what the record says."""
        frame = read_image(self.path(record)).frame
        if frame.shape[:2] != (record["height"], record["width"]):
            seen, expected = f"{frame.shape[1]} x {frame.shape[0]}", f"{record['width']} x {record['height']}"
            raise InputError(
                f"{self.path(record)} is {seen} pixels, the dataset document says {expected}: "
                "the image has changed; run `rarefault dataset` again"
            )
        return frame

    def reduced(self, record: Record, spec: PreprocessSpec) -> Frame | None:
        """The record's image decoded as small as `spec` allows; None where it can only be decoded whole."""
        if spec.reduction(record["height"], record["width"]) == 1:
            return None
        frame = read_image(self.path(record), replace(spec, decode="reduced")).frame
        return None if frame.shape[:2] == (record["height"], record["width"]) else frame
