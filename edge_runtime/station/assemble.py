"""Puts a station together from its settings: the parts of the service are made here, and outbox and lock opened."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2

from ..alerts.alarm_rules import AlarmRules
from ..alerts.events import Reporter
from ..alerts.notifier import Notifier
from ..alerts.sample_selection import SampleSelector
from ..bundle.errors import RarefaultError
from ..cameras.camera_group import CameraGroup
from ..cameras.settings import CameraPlan, plan_cameras
from ..child_process import RestartBudget, module_command
from ..clock import Clock
from ..inference.evaluator import Evaluator
from ..logs import log_to_stderr
from ..updates.state import Stage, load
from ..watchlog.ledger_writer import LedgerWriter
from .attention.reader import AttentionReader
from .camera_watch import CameraWatch
from .metrics import Metrics
from .open_outbox import make_sinks, open_outbox
from .page.live_frames import LiveFrames, LiveWriter, views_of
from .page.process import PageProcess
from .retention.retention import retained
from .scores.keeper import ScoreKeeper
from .self_test import FIRST_SECONDS, Schedule, SelfTests, prepare_requests
from .service import Part, Service
from .settings import StationSettings
from .state_lock import lock_state_folder
from .status_server import StatusServer
from .updating.live_updates import LiveUpdates
from .updating.model_switch import ModelSwitch, fit_model
from .updating.outcome_reports import OutcomeReports, alarms_of_the_last_day
from .updating.schedule import CommandSchedule, Schedules
from .updating.signed_reports import SignedReports
from .updating.start import open_serving
from .updating.without_model import WithoutModel

log = logging.getLogger(__name__)


def serve(settings: StationSettings, stop: threading.Event, config: Path | None = None) -> None:
    """Run a station until `stop`. RarefaultError says what is missing, or what only a restart may mend.

    `config` is the file of the settings, which the update process reads; without it none is started.
    """
    log_to_stderr(())
    cv2.setNumThreads(1)  # the engine and the cameras need the cores
    plans = plan_cameras(settings.camera)
    log_to_stderr(secret for plan in plans if plan.address for secret in plan.address.secrets)
    again = False
    while not stop.is_set():
        with open_notifier(settings) as notifier:
            try:
                evaluator = open_serving(settings, again)
            except RarefaultError as error:
                if load(settings.station.state_dir).stage is not Stage.FAILED:
                    raise
                # An update has left no model that can serve: a restart would not mend it, and central has to know.
                schedule = schedules(settings, config)
                again = WithoutModel(settings, [plan.name for plan in plans], notifier, schedule, str(error)).run(stop)
                continue
            assemble(settings, plans, evaluator, notifier, config=config).run(stop)
            return


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
            with retained(state_dir, settings.station.retention_days, outbox):
                yield notifier
        finally:
            notifier.stop()
            log.info("stopped")


def assemble(
    settings: StationSettings,
    plans: Sequence[CameraPlan],
    evaluator: Evaluator,
    notifier: Notifier,
    first_test_seconds: float = FIRST_SECONDS,
    config: Path | None = None,
) -> Service:
    """Return the service; InputError where the settings do not fit the bundle.

    A camera whose plan has a problem is told as misconfigured, and the others are watched all the same. The first test
    alarm of the schedule comes `first_test_seconds` after this call.
    """
    station, bundle, metrics, clock = settings.station, evaluator.bundle, Metrics(), Clock()
    model = fit_model(settings, [plan.name for plan in plans], evaluator)
    reporter = Reporter(station.name, bundle)
    attention, samples = AttentionReader(station.state_dir), SampleSelector(settings.samples)
    alarm_rules = AlarmRules(model.rules, reporter, notifier.spool, clock, samples, attention.marks)
    ledger = LedgerWriter(station.state_dir, station.name, list(model.rules), station.report_at)
    metrics.set_model(**bundle.identity())
    metrics.watch(notifier.outbox, notifier.spool, notifier.troubles)
    running = [plan.name for plan in plans if plan.address is not None]
    metrics.expect_tests(running if station.test_alarm_hours else [])  # or an alert would wait for what never comes
    schedule = Schedule(running, station.test_alarm_hours * 3600, time.monotonic() + first_test_seconds)
    cameras = CameraGroup(plans, bundle.manifest.input.radiometric)
    watch = CameraWatch(plans, evaluator, alarm_rules, ledger, notifier, metrics, attention)
    self_tests = SelfTests(
        model.pictures, alarm_rules, schedule, station.state_dir, metrics.count_test, attention.maintained
    )
    return Service(
        cameras=cameras,
        watch=watch,
        self_tests=self_tests,
        restart_budget=RestartBudget(running),
        notifier=notifier,
        reporter=reporter,
        clock=clock,
        server=StatusServer(settings.http, metrics),
        updates=_updates(settings, ModelSwitch(settings, cameras, watch, self_tests, model), notifier, config),
        parts=[_scores(settings, watch, plans), *_page(settings, watch, plans, config)],
    )


def _scores(settings: StationSettings, watch: CameraWatch, plans: Sequence[CameraPlan]) -> Part:
    """Return what keeps the scores of all judged views and knows how far they drift."""
    views, bundle = views_of([plan.settings for plan in plans]), watch.evaluator.bundle
    state_dir, budget = settings.station.state_dir, settings.page.score_bytes
    keeper = ScoreKeeper(state_dir, budget, bundle, watch.alarm_rules.rules, views, watch.metrics)
    watch.on_judged.insert(0, keeper.judged)  # before one that may let another model serve
    watch.on_take_over, watch.drift = keeper.take_over, keeper.document
    return keeper


def _page(
    settings: StationSettings, watch: CameraWatch, plans: Sequence[CameraPlan], config: Path | None
) -> list[Part]:
    """Return the page's process, which reads the settings from the file `config`, and let it have live pictures."""
    if settings.page.users_file is None or config is None:
        return []
    views = views_of(settings.camera)
    frames = LiveFrames(len(views))
    rates = {plan.name: plan.least_rate for plan in plans}
    writer = LiveWriter(frames, views, lambda: watch.evaluator.bundle, rates)
    watch.on_judged.insert(0, writer.judged)  # before one that may let another model serve
    handle = str(frames.handle)
    command = module_command("edge_runtime.station", "page", "--config", str(config), "--live-fd", handle)
    return [PageProcess(command, frames)]


def schedules(settings: StationSettings, config: Path | None) -> Schedules:
    """Return what starts `update` and `feedback`, which read the settings from the file `config`; without it none."""

    def command(name: str, wanted: object, *options: str) -> Sequence[str]:
        options = (name, "--config", str(config), *options)
        return module_command("edge_runtime.station", *options) if config and wanted else ()

    update, feedback = settings.updates, settings.feedback
    return Schedules(
        CommandSchedule(command("update", update.url), update.interval_hours * 3600),
        CommandSchedule(command("feedback", feedback.send, "--send"), feedback.hours * 3600, what="feedback"),
    )


def _updates(settings: StationSettings, switch: ModelSwitch, notifier: Notifier, config: Path | None) -> LiveUpdates:
    """Return what takes new bundles in the service, told of every judged view and of an engine that fails."""
    section, watch = settings.updates, switch.watch
    updates = LiveUpdates(
        section=section,
        slots=settings.station.slots,
        switch=switch,
        schedule=schedules(settings, config),
        daily_alarms=partial(alarms_of_the_last_day, notifier.outbox),
        tell=OutcomeReports(watch.alarm_rules, watch.metrics),
        reports=SignedReports(settings.station.state_dir, settings.station.name),
    )
    watch.on_judged.append(updates.judged)
    watch.on_failure = updates.fall_back
    return updates
