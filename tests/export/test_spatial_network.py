"""The spatial head: its taps, its map, and scores that are a pooling of that map alone."""

import numpy as np
import pytest
import torch

from edge_runtime.bundle.heads import ClassHead, Pooling
from export.checkpoint import head_of, load_checkpoint, save_checkpoint
from export.network import CLASS_OUTPUTS, build_network, normalise, output_names
from export.spatial_network import HeadShape, SpatialNetwork, halved, pool
from tests.support.narrow_network import SPATIAL_CARD, SPATIAL_HEAD, narrow_network, pictures, spatial_network

BACKBONES = ["resnet50", "efficientnet_lite0"]


def spatial(backbone="efficientnet_lite0", shape=None, pooling=None, kinds=1):
    inner = narrow_network(backbone=backbone)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return SpatialNetwork(inner, 2, kinds, pooling or Pooling("top", 4), shape).eval()


def images(count=2, height=96, width=128):
    return normalise(torch.from_numpy(pictures(count, height=height, width=width)))


def by_hand(maps, pooling):
    """The three poolings as a person would write them, cell by cell."""
    rows = [sorted((float(cell) for cell in one.flatten()), reverse=True) for one in maps.flatten(0, 1)]
    means = {
        "max": lambda row: row[0],
        "top": lambda row: sum(row[: pooling.cells]) / len(row[: pooling.cells]),
        "lse": lambda row: np.log(np.mean(np.exp(row))),
    }
    return torch.tensor([means[pooling.kind](row) for row in rows], dtype=torch.float32).view(maps.shape[:2])


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", [(96, 128), (64, 64), (75, 75), (33, 50)])
def test_taps_have_their_strides_and_the_map_stands_at_sixteen(backbone, size):
    network = spatial(backbone)
    with torch.inference_mode():
        taps = network.taps(images(1, 128, 128)[:, :, : size[0], : size[1]])
        groups, maps = network.head(taps)
    for tap, channels, stride in zip(taps, network.backbone.tap_channels, (8, 16, 32), strict=True):
        assert tuple(tap.shape) == (1, channels, -(-size[0] // stride), -(-size[1] // stride))
    assert tuple(maps.shape) == (1, 1, -(-size[0] // 16), -(-size[1] // 16))
    assert tuple(groups.shape) == (1, 2)


def test_published_widths_of_the_taps():
    assert build_network("efficientnet_lite0", 2).tap_channels == (40, 112, 320)
    assert build_network("resnet50", 2).tap_channels == (512, 1024, 2048)


def test_the_head_is_small():
    head = SpatialNetwork(build_network("efficientnet_lite0", 2), 2, 1, Pooling()).head
    assert 24_000 < sum(parameter.numel() for parameter in head.parameters()) < 28_000


@pytest.mark.parametrize("pooling", [Pooling("max", 1), Pooling("top", 4), Pooling("top", 1000), Pooling("lse", 1)])
def test_the_score_is_the_pooled_map_and_nothing_else(pooling):
    network = spatial(pooling=pooling, kinds=2)
    with torch.inference_mode():
        _, scores, maps = network(images())
    torch.testing.assert_close(scores, by_hand(maps, pooling), atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, pool(maps, pooling), atol=0, rtol=0)
    torch.testing.assert_close(scores, torch.from_numpy(pooling.pool(maps.numpy())), atol=1e-6, rtol=0)  # the edge's


def test_a_bright_cell_of_the_fine_tap_shows_at_its_own_place():
    network = spatial()
    with torch.inference_mode():
        fine, middle, coarse = (torch.zeros_like(tap) for tap in network.taps(images(1)))
        before = network.head((fine, middle, coarse))[1]
        fine[:, :, 8:10, 4:6] = 3.0
        changed = (network.head((fine, middle, coarse))[1] - before).abs()[0, 0]
    moved = changed.nonzero()
    assert (moved - torch.tensor([4, 2])).abs().max() <= 1  # the cell, and what its 3 x 3 neighbourhood reaches


def test_coarse_cells_cover_the_cells_beneath_them():
    network = spatial()
    with torch.inference_mode():
        fine, middle, coarse = (torch.zeros_like(tap) for tap in network.taps(images(1)))
        before = network.head((fine, middle, coarse))[1]
        coarse[:, :, 1, 1] = 3.0
        changed = (network.head((fine, middle, coarse))[1] - before).abs()[0, 0]
    assert changed.argmax() % changed.shape[1] in (2, 3)
    assert changed.argmax() // changed.shape[1] in (2, 3)


def test_standardised_inputs_have_mean_zero_and_deviation_one():
    network = spatial()
    taps = [network.taps(images(3)), network.taps(images(2).flip(3))]
    network.head.standardise(taps)
    for name in ("{}_0", "{}_1", "{}_2", "group_{}"):
        values = torch.cat([network.head._inputs(part)[name] for part in taps]).transpose(0, 1).flatten(1)
        mean, deviation = (network.head.get_buffer(name.format(what)) for what in ("mean", "deviation"))
        torch.testing.assert_close(values.mean(1), mean.flatten(), atol=1e-4, rtol=1e-4)
        assert (deviation.flatten() >= values.std(1, correction=0) - 1e-4).all()
        assert (deviation > 0).all()


def test_centred_maps_do_not_know_what_all_cells_share():
    shift = 2.5
    for centre in (1.0, 0.0):
        network = spatial(shape=HeadShape(centre=centre))
        with torch.inference_mode():
            taps = network.taps(images(1))
            before = network.head(taps)[1]
            after = network.head(tuple(tap + shift for tap in taps))[1]
        assert ((after - before).abs().max() < 1e-3) == centre


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_spatial_checkpoint_comes_back_as_it_was(tmp_path, backbone):
    network = spatial_network(backbone=backbone)
    save_checkpoint(tmp_path, network, {**SPATIAL_CARD, "backbone": backbone})
    loaded, card = load_checkpoint(tmp_path)
    assert isinstance(loaded, SpatialNetwork)
    assert (loaded.head.shape, loaded.pooling) == (HeadShape(width=16), Pooling("top", 4))
    assert head_of(card) == SPATIAL_HEAD
    with torch.inference_mode():
        for one, other in zip(loaded(images()), network(images()), strict=True):
            torch.testing.assert_close(one, other)


def test_outputs_bear_the_names_of_the_bundles_heads():
    assert output_names(spatial()) == SPATIAL_HEAD.outputs
    assert output_names(narrow_network()) == CLASS_OUTPUTS == ClassHead(("a", "b")).outputs


def test_a_head_reads_a_first_tap_that_is_halved_already():
    network = spatial()
    with torch.inference_mode():
        fine, middle, coarse = network.taps(images())
        whole, kept = network.head((fine, middle, coarse)), network.head((halved(fine), middle, coarse))
    assert all(torch.equal(one, other) for one, other in zip(whole, kept, strict=True))
