"""`edge-station check`: tries everything that the service will need, beside a running one if need be."""

import shutil
import socket
import time
from collections.abc import Iterator, Sequence

from ..bundle.errors import RarefaultError, UnavailableError
from ..bundle.golden import load_golden
from ..bundle.manifest import Manifest
from ..bundle.store import Bundle, open_bundle
from ..cameras.camera import CapturedFrame
from ..cameras.camera_group import CameraGroup
from ..cameras.regions import hidden_share
from ..cameras.settings import WHOLE, CameraPlan, plan_cameras
from ..causes import Cause
from ..inference.device_check import check_engines, idle_gpu
from ..inference.engines import open_engine
from ..inference.gpu_driver import ask_driver
from ..updates.state import UpdateRunsError
from .open_outbox import make_sinks
from .self_test import FaultPictures, Outcome
from .settings import HttpSection, StationSection, StationSettings
from .state_lock import is_running, lock_state_folder
from .updating.commands import offered

FRAME_SECONDS = 5.0  # beyond the time-outs of the slowest camera
LEAST_FREE = 1 << 30  # bytes on the disk of the state folder


def check_station(settings: StationSettings) -> Iterator[Outcome]:
    """Try everything that `settings` name; yield each outcome as soon as it is known."""
    yield Outcome(True, f"settings of {settings.station.name}: {len(settings.camera)} cameras")
    yield from _up_to_error(_state_folder(settings))
    manifest = None
    try:
        bundle = open_bundle(settings.station.bundle_folder())
    except RarefaultError as error:
        yield Outcome(False, str(error))
    else:
        manifest = bundle.manifest
        yield from _up_to_error(_bundle(settings, bundle))
    yield from _cameras(settings, manifest)
    yield from _up_to_error(_sinks(settings))
    yield from _up_to_error(_page(settings))
    yield from _updates(settings)


def _up_to_error(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Yield the outcomes; a RarefaultError among them becomes the last one."""
    try:
        yield from outcomes
    except RarefaultError as error:
        yield Outcome(False, str(error))


def _state_folder(settings: StationSettings) -> Iterator[Outcome]:
    at_work = is_running(settings.station.state_dir)
    if not at_work:
        lock_state_folder(settings.station.state_dir).close()  # makes it, and shows that it takes writes
    yield _disk(settings)
    yield _retention(settings.station)
    if not at_work:
        yield _port(settings.http)


def _bundle(settings: StationSettings, bundle: Bundle) -> Iterator[Outcome]:
    yield from check_bundle(bundle)
    yield from _rules(settings, bundle)


def check_bundle(bundle: Bundle) -> Iterator[Outcome]:
    """Tell of the GPU, and try the golden frames on every engine and precision of this device."""
    golden = load_golden(bundle)
    yield Outcome(True, f"{bundle.manifest.name} {bundle.manifest.version}: {len(bundle.manifest.files)} files whole")
    yield from (Outcome(True, f"the bundle says: {sentence}") for sentence in _limits(bundle.manifest))
    try:
        driver = ask_driver()
    except UnavailableError as error:
        yield Outcome(True, f"no GPU is used: {error}")
    else:
        yield Outcome(True, "; ".join(filter(None, (str(driver), idle_gpu(driver)))))
    for found in check_engines(bundle, golden):
        yield Outcome(found.agrees, found.sentence)
        if found.problem:
            yield Outcome(False, found.problem)


def _limits(manifest: Manifest) -> Iterator[str]:
    """Yield what the bundle says of its own limits."""
    if (smallest := manifest.smallest_fault) is not None:
        height, width = manifest.input.canvas
        share = 100 * smallest.pixels / min(height, width)
        found = f"; it finds {100 * smallest.recall:.0f} % of that size" if smallest.recall is not None else ""
        yield (
            f"the smallest fault that can be seen is {smallest.pixels:.0f} pixels of the {width} x {height} that the "
            f"model looks at ({share:.1f} % of the shorter side){found}"
        )
    yield from dict.fromkeys(doubt for label in manifest.fault_labels for doubt in manifest.doubts(label))


def _disk(settings: StationSettings) -> Outcome:
    folder = settings.station.state_dir
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE:
        return Outcome(False, f"{folder} has {free >> 20} MiB left, give it at least {LEAST_FREE >> 20}")
    return Outcome(True, f"{folder} can be written, {free >> 30} GiB free")


def _retention(station: StationSection) -> Outcome:
    what = "pictures, scores and archives of feedback"
    if not station.retention_days:
        return Outcome(True, f"{what} are kept as long as there is room for them (retention_days is 0)")
    return Outcome(True, f"{what} are deleted after {station.retention_days:g} days, delivered or not")


def _port(http: HttpSection) -> Outcome:
    try:
        family, address = http.place()
        socket.create_server(address, family=family).close()
    except OSError as error:
        what = f"the status page cannot listen on {http.host}:{http.port} ({error.strerror}); choose another in [http]"
        return Outcome(False, what)
    return Outcome(True, f"status page on {http.host}:{http.port}")


def _rules(settings: StationSettings, bundle: Bundle) -> Iterator[Outcome]:
    """Check whether each camera's decision fits the bundle, and whether a test alarm could be raised."""
    station = settings.station
    engine = open_engine(bundle, station.engine, station.precision, threads=station.cores).engine
    yield Outcome(True, f"the service will use {engine.name} {engine.precision}")
    pictures = FaultPictures(bundle)
    for camera in settings.camera:
        try:
            pictures.clearest(settings.decision.rule(camera.name, bundle.manifest.rule(engine.precision)).decision)
        except RarefaultError as error:
            yield Outcome(False, f"decision of {camera.name}: {error}")


def _cameras(settings: StationSettings, manifest: Manifest | None) -> Iterator[Outcome]:
    plans = plan_cameras(settings.camera)
    for plan in plans:
        if plan.problem:
            yield Outcome(False, f"camera {plan.name}: {Cause.MISCONFIGURED.value}; {plan.problem}")
    if running := [plan for plan in plans if not plan.problem]:
        yield from _first_frames(running, manifest)


def _first_frames(plans: Sequence[CameraPlan], manifest: Manifest | None) -> Iterator[Outcome]:
    """Open all cameras at once, and wait for a frame of each, or for the end of the slowest time-out."""
    slowest = max(plan.settings.open_timeout + plan.settings.read_timeout for plan in plans)
    deadline = time.monotonic() + slowest + FRAME_SECONDS
    with CameraGroup(plans, manifest.input.radiometric if manifest else None) as cameras:
        told: dict[str, str] = {}
        while len(told) < len(plans) and time.monotonic() < deadline:
            for frame in cameras.newest(0.2):
                size = f"{frame.image.shape[1]} x {frame.image.shape[0]} pixels"
                masks = cameras.plans[frame.camera].settings.masks
                hidden = [f"its masks hide {100 * hidden_share(masks, WHOLE):.0f} % of the picture"] if masks else []
                told[frame.camera] = "; ".join([size, *hidden, *_smallest_faults(frame, manifest)])
        for name, state in cameras.states().items():
            if name in told:
                yield Outcome(True, f"camera {name}: {told[name]}")
            else:
                cause = state.cause or Cause.STARTING
                yield Outcome(False, f"camera {name}: {cause.value}; {cause.advice}")


def _smallest_faults(frame: CapturedFrame, manifest: Manifest | None) -> Iterator[str]:
    """Yield how large a fault must be in the frame, or in each of its regions, to be seen."""
    smallest = manifest.smallest_fault if manifest else None
    if manifest is None or smallest is None:
        return
    for region, view in frame.views():
        pixels = smallest.pixels / manifest.input.placement(*view.shape[:2]).scale
        share = 100 * pixels / min(frame.image.shape[:2])
        where = f"in {region} " if region else ""
        yield f"the smallest fault that can be seen {where}is {pixels:.0f} pixels, {share:.1f} % of the shorter side"


def _updates(settings: StationSettings) -> Iterator[Outcome]:
    if not settings.updates.url:
        return
    try:
        yield Outcome(True, f"updates: {offered(settings)}")
    except UpdateRunsError:
        yield Outcome(True, "updates: one is under way")
    except RarefaultError as error:
        yield Outcome(False, f"updates: {error}")


def _page(settings: StationSettings) -> Iterator[Outcome]:
    if settings.page.users_file is None:
        return
    try:
        from ..web.server import try_page  # needs the extra `station`
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"the page needs the package {error.name}; install rarefault with the extra station"
        ) from error
    yield Outcome(True, try_page(settings.page, not is_running(settings.station.state_dir)))


def _sinks(settings: StationSettings) -> Iterator[Outcome]:
    sinks = make_sinks(settings)
    if not sinks:
        yield Outcome(False, "nobody is told of alarms: set [mqtt] or [webhook]")
    for sink in sinks:
        try:
            sink.check()
        except UnavailableError as error:
            yield Outcome(False, f"{sink.name}: {error}")
        else:
            yield Outcome(True, f"{sink.name} can be reached")
