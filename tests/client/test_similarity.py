from typing import Any

from tilewright.contract.workload import Workload
from tilewright.workloads.similarity import distance, position_of

LAYER = Workload(
    batch=1, in_channels=64, height=56, width=56, out_channels=64, kernel_size=(3, 3), padding=(1, 1, 1, 1)
)


def apart(**changes: Any) -> float:
    other = Workload.model_validate(LAYER.model_dump() | changes)
    there, back = distance(position_of(LAYER), position_of(other)), distance(position_of(other), position_of(LAYER))
    assert there == back
    return there


def test_a_workload_is_nearest_to_itself() -> None:
    assert apart() == 0


def test_a_workload_of_twice_a_size_is_one_away_and_of_four_times_two() -> None:
    assert apart(out_channels=128) == 1
    assert apart(out_channels=256) == 2
    assert apart(in_channels=16, out_channels=32) == 3


def test_fields_that_do_not_change_the_schedule_do_not_count_for_the_distance() -> None:
    assert apart(bias=False, activation="relu") == 0


def test_another_kernel_type_or_kind_of_convolution_is_further_away_than_more_channels() -> None:
    twice_as_many = apart(out_channels=128)
    assert apart(kernel_size=(1, 1), padding=(0, 0, 0, 0)) > twice_as_many
    assert apart(data_dtype="int8") > twice_as_many
    assert apart(residual=True) > twice_as_many
    assert apart(groups=64) > 2 * twice_as_many
