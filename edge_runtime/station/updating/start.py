"""What serves at the start of the service: whatever ended the last run, exactly one bundle that was verified."""

from pathlib import Path

from ...bundle.errors import InputError, RarefaultError
from ...inference.evaluator import Evaluator
from ...updates import update_process
from ...updates.errors import Reason
from ...updates.slots import Slots, slot_problem
from ...updates.state import Stage, UpdateState, load
from ..settings import StationSettings
from .model_switch import fit_model, open_evaluator

ENDS_SERVICE = (Reason.PROBATION_CRASH, Reason.ENGINE)  # what failed so is not loaded again, even for want of another


def open_serving(settings: StationSettings, again: bool = False) -> Evaluator:
    """Open what is to serve at the start of the service, on a proven engine.

    What a crash has left of an update is finished first. A slot that was tampered with, and a model on probation that
    fails here, make way for the one before, at last for the factory bundle. RarefaultError where none can serve; a
    bundle that has ended the service before, and has no other below it, is loaded only `again`.
    """
    slots = settings.station.slots
    state = update_process.recover(slots, boot=True)
    if state.stage in (Stage.GOLDEN_OK, Stage.SHADOW) and _serves_nothing(slots, state):
        update_process.start_probation(slots)  # the first bundle of this station
    folder, _ = update_process.usable_slot(slots)
    if not again and _has_ended_service(load(slots.state_dir), folder):
        raise InputError(f"{folder} has ended the service before, and no other bundle can serve; see the status")
    try:
        return _opened(settings, folder)
    except RarefaultError as error:
        state = load(slots.state_dir)
        if state.stage is not Stage.PROBATION or state.candidate != folder.name:
            raise
        update_process.fail(slots, Reason.ENGINE, str(error))
        return _opened(settings, update_process.usable_slot(slots)[0])


def _opened(settings: StationSettings, folder: Path) -> Evaluator:
    """Open the bundle in `folder` on a proven engine; RarefaultError where it, or a camera's rule, does not fit."""
    evaluator = open_evaluator(folder, settings.station)
    fit_model(settings, [camera.name for camera in settings.camera], evaluator)
    return evaluator


def _serves_nothing(slots: Slots, state: UpdateState) -> bool:
    try:
        folder = slots.current()
    except InputError:
        return True
    return slots.previous() is None and (_has_ended_service(state, folder) or bool(slot_problem(folder)))


def _has_ended_service(state: UpdateState, folder: Path) -> bool:
    """Whether the newest update to the bundle in `folder` ended so that a further try may end the service."""
    if state.candidate == folder.name and state.stage is not Stage.FAILED:
        return False  # it is tried again
    ended = [outcome.reason for outcome in state.history if outcome.bundle == folder.name]
    return bool(ended) and ended[0] in ENDS_SERVICE
