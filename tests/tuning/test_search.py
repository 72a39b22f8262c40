import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from statistics import mean

import pytest

from tilewright.contract.attempts import History, KnownRecord
from tilewright.contract.candidates import Candidate, GenericTrace, candidate_fields
from tilewright.contract.records import RecordState
from tilewright.contract.target import Isa, Target
from tilewright.contract.workload import Workload
from tilewright_kernels.conv2d.tiling import Tiling
from tilewright_tuning.search import Search, search_for
from tilewright_tuning.search.generic import GenericSearch
from tilewright_tuning.search.ranked import RankedSearch

from ..kernels.cases import structured
from .examples import GROUPED, SEGFAULTS, TARGET, does_not_apply, tiled

MANY = Workload(
    batch=1, in_channels=64, height=16, width=16, out_channels=128, kernel_size=(3, 3), padding=(1, 1, 1, 1)
)
VNNI = Target(isa=Isa.AVX512_VNNI)
NOTHING = History(records=[], incumbent=None)


def proposals(search: Search) -> list[Candidate]:
    return list(iter(search.propose, None))


def first_proposals(search: Search, count: int) -> list[Candidate]:
    return list(islice(iter(search.propose, None), count))


def known(candidate: Candidate, latency_us: float | None) -> KnownRecord:
    state = RecordState.FAILED if latency_us is None else RecordState.MEASURED
    return KnownRecord(**candidate_fields(candidate), state=state, latency_us=latency_us)


def test_each_kind_of_space_has_its_search() -> None:
    assert isinstance(search_for(MANY, VNNI, NOTHING), RankedSearch)
    assert isinstance(search_for(GROUPED, VNNI, NOTHING), RankedSearch)
    depthwise = GROUPED.model_copy(update={"groups": 8})
    assert isinstance(search_for(depthwise, Target(isa=Isa.X86_64), NOTHING), GenericSearch)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_ranked_search_proposes_every_choice_once_and_ends(threads: int) -> None:
    target = Target(isa=VNNI.isa, threads=threads)
    search = RankedSearch(structured(MANY), MANY, target, NOTHING, seed=0)
    ids = []
    while (candidate := search.propose()) is not None:
        ids.append(candidate.id)
        search.learn(candidate, None if len(ids) % 5 == 0 else 100.0 + len(ids))
    assert len(ids) == len(set(ids)) == len(structured(MANY).candidates(MANY, target))
    assert search.propose() is None


def test_a_ranked_search_never_proposes_what_is_known_failures_included() -> None:
    space = structured(MANY)
    everything = proposals(RankedSearch(space, MANY, VNNI, NOTHING, seed=0))
    history = [known(candidate, None if index % 3 else 50.0) for index, candidate in enumerate(everything[::2])]
    rest = proposals(RankedSearch(space, MANY, VNNI, History(records=history, incumbent=None), seed=0))
    assert {candidate.id for candidate in rest} == {candidate.id for candidate in everything[1::2]}
    assert len(rest) == len(everything[1::2])


def test_a_ranked_search_does_the_same_with_the_same_seed() -> None:
    first, second = (RankedSearch(structured(MANY), MANY, VNNI, NOTHING, seed=3) for _ in range(2))
    for number in range(20):
        one, other = first.propose(), second.propose()
        assert one == other
        assert one is not None
        first.learn(one, 10.0 + number % 7)
        second.learn(one, 10.0 + number % 7)


def tile(choice: Tiling) -> tuple[int, ...]:
    return choice.rows, choice.columns, choice.blocks


def invented_latency_us(choice: Tiling) -> float:
    """Here more blocks and fewer columns are better: not at all what the space's own model expects."""
    return 100.0 * (1 + choice.columns / choice.blocks)


def test_a_ranked_search_learns_which_tiles_are_fast() -> None:
    space = structured(MANY)
    choices = {space.choice(choice).id: choice for choice in space.candidates(MANY, VNNI)}
    fastest = sorted(choices, key=lambda candidate: invented_latency_us(choices[candidate]))[:8]

    def mean_rank(learns: bool) -> float:
        search, order = RankedSearch(space, MANY, VNNI, NOTHING, seed=0), list[str]()
        while (candidate := search.propose()) is not None:
            order.append(candidate.id)
            if learns:
                search.learn(candidate, invented_latency_us(choices[candidate.id]))
        return mean(order.index(candidate) for candidate in fastest)

    by_chance = len(choices) / 2
    assert mean_rank(learns=True) < 0.6 * by_chance
    assert mean_rank(learns=True) < mean_rank(learns=False)


def test_a_ranked_search_starts_from_what_is_known() -> None:
    space = structured(MANY)
    choices = {space.choice(choice).id: choice for choice in space.candidates(MANY, VNNI)}
    slower_half = sorted(choices, key=lambda candidate: invented_latency_us(choices[candidate]))[10:]
    history = [known(space.choice(choices[each]), invented_latency_us(choices[each])) for each in slower_half]
    search = RankedSearch(space, MANY, VNNI, History(records=history, incumbent=None), seed=0)
    first = search.propose()
    assert first is not None
    rest = [first, *proposals(search)]
    fastest = min(rest, key=lambda candidate: invented_latency_us(choices[candidate.id]))
    assert invented_latency_us(choices[first.id]) == invented_latency_us(choices[fastest.id])


@contextmanager
def generic_search(*known: KnownRecord, workload: Workload = GROUPED) -> Iterator[tuple[GenericSearch, list[str]]]:
    """And the ids of the records that ended its process."""
    crashed: list[str] = []
    with closing(GenericSearch(workload, TARGET, known, seed=0, on_crash=crashed.append)) as search:
        yield search, crashed


def test_a_generic_search_proposes_nothing_twice() -> None:
    ids = []
    with generic_search() as (search, _):
        for number in range(40):
            candidate = search.propose()
            assert candidate is not None
            ids.append(candidate.id)
            search.learn(candidate, None if number % 7 == 0 else 100.0 - number)
    assert len(set(ids)) == len(ids)


def test_a_resumed_generic_search_proposes_nothing_that_is_known() -> None:
    with generic_search() as (first, _):
        candidates = first_proposals(first, 24)
    history = [known(candidate, None if index % 5 == 0 else 50.0 + index) for index, candidate in enumerate(candidates)]
    with generic_search(*history) as (second, crashed):
        fresh = first_proposals(second, 24)
    assert len({candidate.id for candidate in (*candidates, *fresh)}) == 48
    assert not crashed


def test_a_known_trace_that_does_not_apply_any_more_is_passed_over() -> None:
    with generic_search(known(does_not_apply(), 10.0), known(tiled(4, GROUPED), 20.0)) as (search, crashed):
        candidate = search.propose()
    assert candidate is not None
    assert candidate.id not in {does_not_apply().id, tiled(4, GROUPED).id}
    assert not crashed


def test_a_known_trace_that_kills_costs_nothing_but_itself() -> None:
    kills = GenericTrace(trace=[[], [[5, 1]]])
    with generic_search(known(kills, 1.0), known(tiled(4, GROUPED), 20.0)) as (search, _):
        assert len(first_proposals(search, 20)) == 20
        assert kills.id not in [each.id for each in first_proposals(search, 5)]


def test_a_record_whose_replay_ends_the_process_is_named_and_never_replayed_again() -> None:
    with generic_search(known(tiled(4, GROUPED), 20.0)) as (search, crashed):
        search._parents.insert(0, (SEGFAULTS, 1.0))  # what a strict reader lets through, and TVM does not survive
        assert search.propose() is not None
        assert crashed == [SEGFAULTS.id]
        search._process.stop()
        assert search.propose() is not None
        assert crashed == [SEGFAULTS.id]


def test_a_search_whose_process_was_killed_goes_on_from_what_it_learnt() -> None:
    with generic_search() as (search, _):
        first = first_proposals(search, 20)
        for number, candidate in enumerate(first):
            search.learn(candidate, 10.0 + number)
        pid = search._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        rest = first_proposals(search, 20)
    assert len({candidate.id for candidate in (*first, *rest)}) == 40


def test_a_generic_search_of_a_tiny_space_ends() -> None:
    pixel = Workload(batch=1, in_channels=2, height=1, width=1, out_channels=2, kernel_size=(1, 1), groups=2)
    with generic_search(workload=pixel) as (search, _):
        ids = [candidate.id for candidate in first_proposals(search, 200)]
    assert 0 < len(ids) == len(set(ids)) < 200
