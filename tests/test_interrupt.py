"""Requests to stop, in this process; what the program does with Ctrl-C is in tests/cli/test_stopping.py."""

import os
import signal
import time

import pytest

from ecgkit.interrupt import Interrupted, Left, keeps, left_now, safe_points


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_ctrl_c_is_noted_and_the_second_one_interrupts() -> None:
    with pytest.raises(KeyboardInterrupt), safe_points() as stop:
        stop.check()
        press()
        assert stop.asked == "SIGINT"
        press()
        time.sleep(1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_work_that_reaches_no_safe_point_is_interrupted_after_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.interrupt.GRACE", 0.1)
    began = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), safe_points():
        press()
        time.sleep(5)
    assert time.perf_counter() - began < 3


def test_work_that_saves_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.interrupt.GRACE", 0.1)
    with safe_points() as stop:
        press()
        stop.reached = True
        time.sleep(0.3)


def test_a_request_is_not_lost_between_two_stages() -> None:
    with safe_points() as stop:
        with safe_points():
            press()
        with safe_points() as later, pytest.raises(KeyboardInterrupt):
            later.check()
        assert stop.asked


def test_the_innermost_work_says_what_is_left() -> None:
    with (
        pytest.raises(Interrupted, match="stopped: 3 parts; to go on: the same call again"),
        keeps(lambda: Left("all")),
        keeps(lambda: Left("3 parts")),
    ):
        assert left_now() == Left("3 parts")
        raise KeyboardInterrupt
    assert left_now() is None


def test_a_signal_of_the_scheduler_has_no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecgkit.interrupt.GRACE", 0.1)
    with safe_points(signal.SIGUSR1) as stop:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.3)
    assert stop.asked == "SIGUSR1"
