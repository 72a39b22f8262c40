"""Layouts: where the elements of activations lie, for NumPy and for the definitions of kernels alike."""

from math import prod
from typing import get_args

import numpy as np
import pytest

from tilewright.contract.workload import Workload
from tilewright_kernels.layouts.arrays import as_nhwc, from_nhwc
from tilewright_kernels.layouts.table import LAYOUTS, whole_data
from tilewright_kernels.layouts.traits import TRAITS

CONTRACT = get_args(Workload.model_fields["layout"].annotation)


def workload_in(layout: str) -> Workload:
    return Workload.model_validate(
        {"batch": 2, "in_channels": 32, "height": 3, "width": 17, "out_channels": 16, "kernel_size": (1, 1)}
        | {"layout": layout}
    )


def test_every_layout_of_the_contract_has_its_traits_and_its_activations() -> None:
    assert set(CONTRACT) == set(TRAITS) == set(LAYOUTS)


@pytest.mark.parametrize("layout", CONTRACT)
def test_activations_in_numpy_go_into_a_layout_and_back(layout: str) -> None:
    workload = workload_in(layout)
    nhwc = np.arange(prod(workload.input_shape)).reshape(workload.in_nhwc.input_shape)
    array = from_nhwc(nhwc, layout)
    assert array.shape == workload.input_shape
    assert array.flags.c_contiguous
    np.testing.assert_array_equal(as_nhwc(array, layout), nhwc)


@pytest.mark.parametrize("layout", CONTRACT)
def test_a_definition_finds_elements_where_numpy_puts_them(layout: str) -> None:
    workload = workload_in(layout)
    nhwc = np.arange(prod(workload.input_shape)).reshape(workload.in_nhwc.input_shape)
    array = from_nhwc(nhwc, layout)
    for position in np.ndindex(nhwc.shape):
        assert array[LAYOUTS[layout].activations.in_array(*position)] == nhwc[position]


@pytest.mark.parametrize("layout", [layout for layout in CONTRACT if not TRAITS[layout].is_transposed])
def test_a_kernel_that_reads_the_callers_array_finds_every_channel_of_every_pixel(layout: str) -> None:
    data = whole_data(workload_in(layout))
    nhwc = np.arange(prod(data.array_shape)).reshape(workload_in("NHWC").input_shape)
    array = from_nhwc(nhwc, layout).reshape(data.array_shape)
    for n, h, w, c in np.ndindex(nhwc.shape):
        assert array[data.element(n, h, w, 0, c)] == nhwc[n, h, w, c]
        assert array[data.part(n, h, w, 0, c // 4, 4, c % 4)] == nhwc[n, h, w, c]
