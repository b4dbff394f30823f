"""Puts a station together from its settings: the parts of the service are made here, and outbox and lock opened."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence

import cv2

from ..alerts.alarm_rules import AlarmRules
from ..alerts.events import Reporter
from ..alerts.notifier import Notifier
from ..alerts.sample_selection import SampleSelector
from ..bundle.store import open_bundle
from ..cameras.camera_group import CameraGroup
from ..cameras.settings import CameraPlan, plan_cameras
from ..child_process import RestartBudget
from ..clock import Clock
from ..inference.engines import open_engine
from ..inference.evaluator import Evaluator
from ..logs import log_to_stderr
from ..watchlog.ledger_writer import LedgerWriter
from .camera_watch import CameraWatch
from .metrics import Metrics
from .open_outbox import make_sinks, open_outbox
from .self_test import FIRST_SECONDS, FaultPictures, Schedule, SelfTests, prepare_requests
from .service import Service
from .settings import StationSection, StationSettings
from .state_lock import lock_state_folder
from .status_server import StatusServer

log = logging.getLogger(__name__)


def serve(settings: StationSettings, stop: threading.Event) -> None:
    """Run a station until `stop`. RarefaultError says what is missing, or what only a restart may mend."""
    log_to_stderr(())
    cv2.setNumThreads(1)  # the engine and the cameras need the cores
    plans = plan_cameras(settings.camera)
    log_to_stderr(secret for plan in plans if plan.address for secret in plan.address.secrets)
    with open_notifier(settings) as notifier:
        assemble(settings, plans, open_evaluator(settings.station), notifier).run(stop)


@contextlib.contextmanager
def open_notifier(settings: StationSettings) -> Iterator[Notifier]:
    """Lock the state folder, open its outbox, and yield what delivers from it; all is closed at the end.

    Pictures that a crash left behind are removed. UnavailableError where the disk or a package of the extra is missing.
    """
    sinks, state_dir = make_sinks(settings), settings.station.state_dir
    with lock_state_folder(state_dir), contextlib.closing(open_outbox(settings, repair=True)) as outbox:
        outbox.sweep()
        prepare_requests(state_dir)
        notifier = Notifier(outbox, sinks, settings.station.heartbeat_seconds)
        try:
            yield notifier
        finally:
            notifier.stop()
            log.info("stopped")


def open_evaluator(station: StationSection) -> Evaluator:
    """Open the station's bundle and prove an engine on it. RarefaultError says what is wrong with either."""
    bundle = open_bundle(station.bundle_folder())
    opened = open_engine(bundle, station.engine, station.precision, callers=1, threads=station.cores)
    for reason in opened.skipped:
        log.info("passed over %s", reason)
    manifest, engine = bundle.manifest, opened.engine
    model = (manifest.name, manifest.version, bundle.digest[:12])
    log.info("%s %s (%s) on %s %s", *model, engine.name, engine.precision)
    return Evaluator(bundle, engine)


def assemble(
    settings: StationSettings,
    plans: Sequence[CameraPlan],
    evaluator: Evaluator,
    notifier: Notifier,
    first_test_seconds: float = FIRST_SECONDS,
) -> Service:
    """Return the service; InputError where the settings do not fit the bundle.

    A camera whose plan has a problem is told as misconfigured, and the others are watched all the same. The first test
    alarm of the schedule comes `first_test_seconds` after this call.
    """
    station, bundle, metrics, clock = settings.station, evaluator.bundle, Metrics(), Clock()
    rule = bundle.manifest.rule(evaluator.engine.precision)
    rules = {plan.name: settings.decision.rule(plan.name, rule) for plan in plans}
    reporter = Reporter(station.name, bundle)
    alarm_rules = AlarmRules(rules, reporter, notifier.spool, clock, SampleSelector(settings.samples))
    ledger = LedgerWriter(station.state_dir, station.name, list(rules), station.report_at)
    metrics.set_model(**bundle.identity())
    metrics.watch(notifier.outbox, notifier.spool, notifier.troubles)
    running = [plan.name for plan in plans if plan.address is not None]
    metrics.expect_tests(running if station.test_alarm_hours else [])  # or an alert would wait for what never comes
    schedule = Schedule(running, station.test_alarm_hours * 3600, time.monotonic() + first_test_seconds)
    return Service(
        cameras=CameraGroup(plans, bundle.manifest.input.radiometric),
        watch=CameraWatch(plans, evaluator, alarm_rules, ledger, notifier, metrics),
        self_tests=SelfTests(FaultPictures(bundle), alarm_rules, schedule, station.state_dir, metrics.count_test),
        restart_budget=RestartBudget(running),
        notifier=notifier,
        reporter=reporter,
        clock=clock,
        server=StatusServer(settings.http, metrics),
    )
