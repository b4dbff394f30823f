"""Which bundles are published and which are not."""

import json
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from augment.updates.publish import publish
from augment.updates.repository import About
from edge_runtime.bundle.decision import DecisionRule
from edge_runtime.bundle.errors import InputError
from edge_runtime.bundle.golden import write_golden
from edge_runtime.bundle.manifest import Manifest, model_file
from edge_runtime.bundle.store import open_bundle, write_bundle_manifest
from edge_runtime.updates.errors import Reason, UpdateRefused
from tests.support.central_repository import make_repository
from tests.support.colour_bundle import FAULTS, LABELS, RULE, TOLERANCE, expected_logits, golden_frames, make_bundle


def with_rule(bundle, rule, version):
    """The same model under another rule, packed as if its labels were true: nobody's labels stand with its frames."""
    manifest = open_bundle(bundle).manifest
    frames = golden_frames()
    scores = np.stack([expected_logits(frame) for frame in frames])
    write_golden(bundle, frames, scores, rule, TOLERANCE, manifest.input)
    write_bundle_manifest(bundle, replace(manifest, decision=rule, version=version))
    return bundle


def better(_serving, _new):
    return []


def test_a_good_bundle_is_offered_to_its_group(repository, bundle):
    done = publish(repository, bundle, "one")
    assert (done.release.number, done.release.group, done.release.forced) == (1, "one", None)
    assert repository.releases()["one"].bundle == open_bundle(bundle).digest


def test_a_bundle_that_answers_otherwise_than_it_promises_is_refused_in_any_precision(repository, bundle):
    path = bundle / model_file("fp16")
    model = onnx.load(str(path))
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(model.graph.initializer[0]) * np.float16(1.5), "kernel")
    )
    onnx.save(model, str(path))
    changed = Manifest.from_json(json.loads((bundle / "manifest.json").read_bytes()))
    write_bundle_manifest(bundle, changed)
    with pytest.raises(UpdateRefused) as refused:
        publish(repository, bundle, "one", forced="it must go out")
    assert refused.value.reason is Reason.GOLDEN
    assert repository.releases() == {}


def test_a_changed_file_and_an_unlisted_one_are_refused(repository, bundle, tmp_path):
    strange = tmp_path / "strange"
    shutil.copytree(bundle, strange)
    (strange / "golden" / "99.png").write_bytes(b"")
    with (bundle / model_file("fp32")).open("ab") as file:
        file.write(b"\0")
    for folder in (bundle, strange):
        with pytest.raises(UpdateRefused) as refused:
            publish(repository, folder, "one")
        assert refused.value.reason is Reason.CONTENT


def test_labels_that_were_exchanged_since_the_serving_bundle_are_refused(repository, bundle, tmp_path):
    publish(repository, bundle, "one")
    exchanged = DecisionRule(("normal", "leak", "rust"), FAULTS, 1.0, {"rust": 0.4, "leak": 0.9})
    wrong = with_rule(make_bundle(tmp_path / "wrong"), exchanged, "2")
    with pytest.raises(InputError, match="each other's place: rust, leak"):
        publish(repository, wrong, "one", forced="it must go out")


def test_a_fault_that_is_healthy_in_the_new_bundle_is_refused(repository, bundle, tmp_path):
    publish(repository, bundle, "one")
    harmless = DecisionRule(LABELS, ("rust",), 1.0, {"rust": 0.4})
    wrong = with_rule(make_bundle(tmp_path / "wrong"), harmless, "2")
    with pytest.raises(UpdateRefused, match="leak was a fault and is healthy") as refused:
        publish(repository, wrong, "one", forced="it must go out")
    assert refused.value.reason is Reason.POLICY


def test_a_bundle_whose_map_is_no_evidence_is_refused_where_evidence_is_required(bundle, tmp_path):
    strict = make_repository(tmp_path / "repository", About(require_evidence=True))
    with pytest.raises(UpdateRefused) as refused:
        publish(strict, bundle, "one")
    assert refused.value.reason is Reason.POLICY


def test_a_bundle_worse_than_the_serving_one_needs_a_reason(repository, bundle, tmp_path):
    publish(repository, bundle, "one")
    other = with_rule(make_bundle(tmp_path / "other"), replace(RULE, thresholds={"rust": 0.5, "leak": 0.9}), "2")
    with pytest.raises(InputError, match="not compared"):
        publish(repository, other, "one")
    with pytest.raises(InputError, match="the recall of rust fell from 9 of 10 to 2 of 10"):
        publish(repository, other, "one", compare=lambda *_: ["the recall of rust fell from 9 of 10 to 2 of 10"])
    assert publish(repository, other, "one", compare=better).release.forced is None
    done = publish(repository, bundle, "one", forced="the other misses rust")
    assert (done.release.number, done.release.forced) == (3, "the other misses rust")


def test_the_serving_bundle_is_the_one_of_the_last_group(repository, bundle, tmp_path):
    publish(repository, bundle, "one")
    repository.promote("one")
    other = with_rule(make_bundle(tmp_path / "other"), replace(RULE, thresholds={"rust": 0.5, "leak": 0.9}), "2")
    publish(repository, other, "one", compare=better)
    compared = []
    third = with_rule(make_bundle(tmp_path / "third"), replace(RULE, thresholds={"rust": 0.6, "leak": 0.9}), "3")
    publish(repository, third, "one", compare=lambda serving, new: compared.append((serving.digest, new.digest)) or [])
    assert compared == [(open_bundle(bundle).digest, open_bundle(third).digest)]


def test_what_stations_will_notice_is_told(repository, bundle, tmp_path):
    publish(repository, bundle, "one")
    other = with_rule(make_bundle(tmp_path / "other"), replace(RULE, thresholds={"rust": 0.5, "leak": 0.9}), "2")
    notes = publish(repository, other, "one", compare=better).notes
    assert notes == ("the threshold of rust is the bundle's own and goes from 0.4 to 0.5",)
