"""A search that starts from what was measured of other workloads of its space."""

from collections.abc import Sequence

import pytest

from tilewright.contract.attempts import History, KnownRecord, Neighbour, NeighbourRecord
from tilewright.contract.candidates import Candidate, Choice
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.tiling import Tiling
from tilewright_tuning.search.ranked import FIRST_BY_NEIGHBOURS, RankedSearch
from tilewright_tuning.search.transfer_samples import find_nearest, read_transfer_samples

from ..kernels.cases import structured
from .test_search import NOTHING, VNNI, known, proposals

BATCH = FIRST_BY_NEIGHBOURS + 1


def conv(in_channels: int, size: int, out_channels: int) -> Workload:
    return Workload(
        batch=1,
        in_channels=in_channels,
        height=size,
        width=size,
        out_channels=out_channels,
        kernel_size=(3, 3),
        padding=(1, 1, 1, 1),
    )


HERE = conv(64, 14, 128)
DENSE = structured(HERE)


def invented_us(choice: Tiling) -> float:
    """The smaller the tile the better, which is not what the space expects."""
    sums = choice.sums
    return float(sums + choice.columns / 100 + choice.order / 1000)


def neighbour(workload: Workload) -> Neighbour:
    """Every choice of it, with an invented latency."""
    records = [
        NeighbourRecord(
            choice=DENSE.choice(choice),
            latency_us=invented_us(choice) * workload.macs / 1e6,
        )
        for choice in DENSE.candidates(workload, VNNI)
    ]
    return Neighbour(workload=workload, records=sorted(records, key=lambda record: record.latency_us))


def history(*neighbours: Neighbour, records: Sequence[KnownRecord] = ()) -> History:
    return History(records=list(records), incumbent=None, neighbours=list(neighbours))


def choices_by_id(workload: Workload = HERE) -> dict[str, Tiling]:
    return {DENSE.choice(each).id: each for each in DENSE.candidates(workload, VNNI)}


def propose(search: RankedSearch, count: int) -> list[Candidate]:
    candidates = [search.propose() for _ in range(count)]
    return [candidate for candidate in candidates if candidate is not None]


NEIGHBOURS = (neighbour(conv(64, 28, 128)), neighbour(conv(32, 7, 64)))


def test_the_best_choices_of_the_neighbours_come_first_as_they_fit_here() -> None:
    choices = DENSE.candidates(HERE, VNNI)
    likes = [
        choices[find_nearest(samples.choices[0], choices)]
        for samples in read_transfer_samples(DENSE, VNNI, history(*NEIGHBOURS).neighbours)
    ]
    by_id = choices_by_id()
    first = [by_id[each.id] for each in propose(RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS), seed=0), BATCH)]
    assert all(like in first for like in likes)
    assert choices[0] in first, "one is what the space itself expects"


def test_a_factor_that_does_not_divide_the_new_workload_becomes_the_nearest_that_does() -> None:
    seven = Tiling(rows=1, columns=14, blocks=2, order=1, shared=0)
    choices = DENSE.candidates(conv(64, 12, 128), VNNI)
    like = choices[find_nearest(seven, choices)]
    assert like == Tiling(rows=1, columns=12, blocks=2, order=1, shared=0)


def test_a_choice_that_fits_a_workload_is_projected_to_itself() -> None:
    choices = DENSE.candidates(HERE, VNNI)
    assert [find_nearest(choice, choices) for choice in choices] == list(range(len(choices)))


def test_a_search_with_transfer_samples_finds_what_was_fast_elsewhere_sooner() -> None:
    by_id = choices_by_id()
    fastest = min(invented_us(choice) for choice in by_id.values())

    def best_of_first(search: RankedSearch, count: int) -> float:
        return min(invented_us(by_id[each.id]) for each in propose(search, count))

    assert best_of_first(RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS), seed=0), BATCH + 1) <= 1.1 * fastest
    assert best_of_first(RankedSearch(DENSE, HERE, VNNI, NOTHING, seed=0), BATCH + 1) > 1.1 * fastest


def test_a_search_with_transfer_samples_still_proposes_everything_once() -> None:
    ids = [candidate.id for candidate in proposals(RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS), seed=0))]
    assert len(ids) == len(set(ids))
    assert set(ids) == set(choices_by_id())


def test_a_search_with_transfer_samples_proposes_nothing_that_is_known() -> None:
    first = propose(RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS), seed=0), BATCH)
    records = [known(candidate, 50.0 if index else None) for index, candidate in enumerate(first)]
    rest = proposals(RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS, records=records), seed=0))
    assert {candidate.id for candidate in rest} == set(choices_by_id()) - {candidate.id for candidate in first}


def test_a_search_with_transfer_samples_does_the_same_with_the_same_seed() -> None:
    one, other = (RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS), seed=5) for _ in range(2))
    for number in range(20):
        candidate = one.propose()
        assert candidate == other.propose()
        assert candidate is not None
        one.learn(candidate, 10.0 + number % 7)
        other.learn(candidate, 10.0 + number % 7)


def test_own_trials_count_for_more_than_those_of_others() -> None:
    """Here the opposite is fast: after a few trials the search has noticed."""
    by_id = choices_by_id()
    search = RankedSearch(DENSE, HERE, VNNI, history(*NEIGHBOURS), seed=0)
    latencies = []
    for _ in range(len(by_id) // 2):
        [candidate] = propose(search, 1)
        latencies.append(1e4 / invented_us(by_id[candidate.id]))
        search.learn(candidate, latencies[-1])
    assert min(latencies) <= 1.1 * min(1e4 / invented_us(choice) for choice in by_id.values())


TILE = {"rows": 1, "columns": 7, "blocks": 4, "order": 0, "shared": 0}


@pytest.mark.parametrize(
    "records",
    [
        [],
        [NeighbourRecord(choice=Choice(space="depthwise_avx512_vnni", version=1, decisions=TILE), latency_us=1.0)],
        [NeighbourRecord(choice=Choice(space="dense_avx2", version=2, decisions=TILE), latency_us=1.0)],
        [NeighbourRecord(choice=Choice(space="dense_avx512_vnni", version=99, decisions=TILE), latency_us=1.0)],
        [NeighbourRecord(choice=Choice(space="dense_avx512_vnni", version=2, decisions={}), latency_us=1.0)],
    ],
    ids=["none", "of another space", "of another path", "of a later version", "unreadable"],
)
def test_records_of_neighbours_that_cannot_be_read_are_passed_over(records: list[NeighbourRecord]) -> None:
    stranger = Neighbour(workload=conv(64, 28, 128), records=records)
    assert read_transfer_samples(DENSE, VNNI, [stranger]) == []
    first = propose(RankedSearch(DENSE, HERE, VNNI, history(stranger), seed=0), BATCH)
    assert first == propose(RankedSearch(DENSE, HERE, VNNI, NOTHING, seed=0), BATCH)


def test_a_neighbour_that_the_space_does_not_cover_gives_no_transfer_samples() -> None:
    depthwise = Workload.model_validate(conv(64, 28, 64).model_dump() | {"groups": 64})
    mislabelled = NEIGHBOURS[0].model_copy(update={"workload": depthwise})
    assert read_transfer_samples(DENSE, VNNI, [mislabelled]) == []
