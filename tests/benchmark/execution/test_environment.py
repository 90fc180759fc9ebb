from __future__ import annotations

from benchmark.execution.environment import environment, speed


def test_the_speed_of_a_core_is_measured_once_and_is_plausible() -> None:
    found = environment()["speed"]
    assert found is speed()
    assert 0.5 < found["gflops"] < 1_000
    assert 0.2 < found["gb_s"] < 1_000
