import math

import torch

from augment.spatial.loss import PictureScale, Taught, batch_loss, cell_loss, group_loss, spatial_loss

EVEN = math.log(2)  # the loss of log-odds 0, whatever is right


def test_positive_cells_and_negative_cells_are_averages_of_their_own():
    maps = torch.zeros(1, 1, 4, 4)
    cells = torch.zeros(1, 1, 4, 4, dtype=torch.int8)
    cells[0, 0, 0, 0] = 1
    assert torch.allclose(cell_loss(maps, cells), torch.tensor([[2 * EVEN]]))  # 1 + (1 + 1) / 2
    cells[0, 0, 0, 0] = 0
    assert torch.allclose(cell_loss(maps, cells), torch.tensor([[EVEN]]))  # no positive cell: nothing for it


def test_the_hardest_negative_cells_count_once_more():
    maps = torch.full((1, 1, 4, 4), -20.0)
    maps[0, 0, 0, 0] = 10.0  # one false alarm
    cells = torch.zeros(1, 1, 4, 4, dtype=torch.int8)
    assert torch.allclose(cell_loss(maps, cells), torch.tensor([[(10 / 8 + 10 / 16) / 2]]), atol=1e-3)


def test_ignored_cells_teach_nothing():
    maps = torch.zeros(1, 1, 2, 2, requires_grad=True)
    cells = torch.tensor([[[[1, -1], [-1, 0]]]], dtype=torch.int8)
    cell_loss(maps, cells).sum().backward()
    assert maps.grad is not None
    assert (maps.grad[0, 0] == 0).tolist() == [[False, True], [True, False]]


def _gradient(has_cells: bool, picture: int) -> tuple[bool, bool]:
    """Whether the cells and the picture's score of one picture learn anything."""
    maps, scores = torch.zeros(1, 1, 2, 2, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    cells = torch.zeros(1, 1, 2, 2, dtype=torch.int8)
    spatial_loss(maps, scores, cells, torch.tensor([[has_cells]]), torch.tensor([[picture]]), torch.ones(1)).backward()
    return bool(torch.count_nonzero(maps.grad)), bool(torch.count_nonzero(scores.grad))


def test_a_fault_without_boxes_learns_by_its_picture_alone_and_one_cut_away_by_its_cells():
    assert _gradient(has_cells=True, picture=0) == (True, True)
    assert _gradient(has_cells=False, picture=1) == (False, True)
    assert _gradient(has_cells=True, picture=-1) == (True, False)


def test_a_picture_more_takes_nothing_from_the_others():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 2, 3, 3, generator=generator)
    scores = torch.randn(2, 2, generator=generator)
    cells = torch.zeros(2, 2, 3, 3, dtype=torch.int8)
    parts = [torch.ones(2, 2, dtype=torch.bool), torch.tensor([[1, 0], [0, 0]])]
    both = spatial_loss(maps, scores, cells, *parts, torch.tensor([1.0, 0.2])) * 2
    first = spatial_loss(maps[:1], scores[:1], cells[:1], parts[0][:1], parts[1][:1], torch.tensor([1.0]))
    second = spatial_loss(maps[1:], scores[1:], cells[1:], parts[0][1:], parts[1][1:], torch.tensor([0.2]))
    assert torch.allclose(both, first + second)


def test_the_scale_of_pictures_begins_as_none():
    scores = torch.tensor([[1.0, -2.0]])
    assert torch.equal(PictureScale(2)(scores), scores)


def test_a_label_that_names_no_group_is_left_out_and_groups_weigh_what_they_are_given():
    logits = torch.zeros(2, 2)
    weights = torch.tensor([1.0, 3.0])
    assert torch.allclose(group_loss(logits, torch.tensor([0, -1]), weights), torch.tensor(EVEN / 2))
    assert torch.allclose(group_loss(logits, torch.tensor([1, 0]), weights), torch.tensor(2 * EVEN))


def test_the_views_of_a_picture_are_one():
    generator = torch.Generator().manual_seed(1)
    maps, logits = torch.randn(4, 1, 2, 3, generator=generator), torch.randn(4, 2, generator=generator)
    cells = torch.tensor([1, 0, -1, 0, 0, 0]).repeat(2, 2, 1, 1).reshape(2, 2, 1, 2, 3)
    yes, ones, pictures = torch.ones(2, 1, dtype=torch.bool), torch.ones(2), torch.tensor([[1], [0]])
    groups = torch.tensor([0, 1])
    found = batch_loss(
        (logits, maps.amax((2, 3)), maps), PictureScale(1), Taught(cells, yes, pictures, ones, groups, ones)
    )
    tall = maps.reshape(2, 1, 4, 3)
    expected = spatial_loss(tall, tall.amax((2, 3)), cells.reshape(2, 1, 4, 3), yes, pictures, ones)
    assert torch.allclose(found, expected + group_loss(logits.reshape(2, 2, 2).mean(1), groups, ones))
