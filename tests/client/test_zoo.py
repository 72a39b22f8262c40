import pytest

from tilewright.errors import InvalidRequest, UnknownNetwork
from tilewright.workloads.zoo import NETWORKS, network_workloads


@pytest.mark.parametrize(
    ("name", "distinct", "total", "gmacs"),
    [("resnet18", 11, 20, 1.8136), ("resnet50", 23, 53, 4.0871), ("mobilenet_v2", 30, 52, 0.2995)],
)
def test_counts_and_work_are_those_of_the_published_networks(
    name: str, distinct: int, total: int, gmacs: float
) -> None:
    convolutions = network_workloads(name)
    assert len(convolutions) == distinct
    assert sum(count for _, count in convolutions) == total
    assert sum(workload.macs * count for workload, count in convolutions) == pytest.approx(gmacs * 1e9, rel=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_workload_is_distinct_and_the_first_sees_the_image(name: str) -> None:
    workloads = [workload for workload, _ in network_workloads(name)]
    assert len({workload.id for workload in workloads}) == len(workloads)
    assert workloads[0].input_shape == (1, 224, 224, 3)


def test_resnet50_strides_on_the_3x3_as_v1_5_does() -> None:
    strided = [workload for workload, _ in network_workloads("resnet50") if workload.stride == (2, 2)]
    main_path = [workload for workload in strided if workload.kernel_size == (3, 3)]
    assert [workload.in_channels for workload in main_path] == [128, 256, 512]


def test_mobilenet_filters_depthwise_and_ends_in_1280_channels() -> None:
    workloads = [workload for workload, _ in network_workloads("mobilenet_v2")]
    depthwise = [workload for workload in workloads if workload.groups > 1]
    assert depthwise
    assert all(workload.groups == workload.in_channels == workload.out_channels for workload in depthwise)
    assert workloads[-1].output_shape == (1, 7, 7, 1280)


def test_the_batch_size_reaches_every_convolution() -> None:
    assert {workload.batch for workload, _ in network_workloads("resnet18", batch=8)} == {8}


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNetwork, match="resnet18, resnet50, mobilenet_v2"):
        network_workloads("vgg16")


@pytest.mark.parametrize("batch", [0, -1, 4096, 10**9])
def test_an_impossible_batch_size_is_refused_by_name(batch: int) -> None:
    with pytest.raises(InvalidRequest, match=f"batch {batch} of resnet18") as caught:
        network_workloads("resnet18", batch)
    assert caught.value.errors[0]["field"] == "batch"
