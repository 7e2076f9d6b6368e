from hwnas_agent.board import device_facts
from hwnas_agent.facts import hello
from hwnas_agent.files import Here, fact, line_of
from hwnas_agent.process import RunQueue
from hwnas_agent.runtimes import RUNTIMES
from hwnas_agent.wire import FROM_AGENT, check


def test_hello_is_of_the_protocol_and_names_the_runtimes_asked_for():
    message = check(hello(["onnxruntime"]), FROM_AGENT)
    assert list(message["runtimes"]) == ["onnxruntime"]
    assert set(hello([])["runtimes"]) == set(RUNTIMES)


def test_what_cannot_be_read_is_absent_with_the_reason_and_never_zero(tmp_path):
    here = Here(str(tmp_path))
    missing = fact(lambda: line_of(here, "missing"))
    assert missing["value"] is None
    assert "No such file" in missing["reason"]
    (tmp_path / "empty").write_text("\n")
    assert fact(lambda: line_of(here, "empty")) == {"value": None, "reason": "/empty is empty"}
    for told in device_facts([0], Here()).values():
        assert (told["value"] is None) != (told["reason"] is None)
    assert device_facts([], Here())["core_set"]["value"] is None


def test_numbers_of_the_kernel_are_scaled_and_nonsense_is_told(tmp_path):
    path = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    path.parent.mkdir(parents=True)
    for text, value in (("1500000\n", 1500.0), ("-1000", None), ("fast", None), ("nan", None), ("inf", None)):
        path.write_text(text)
        told = device_facts([0], Here(str(tmp_path)))["frequency_mhz"]
        assert told["value"] == value
        assert (told["reason"] is None) == (value is not None)


def test_waiting_for_a_core_is_unknown_where_the_kernel_does_not_tell(tmp_path):
    for name, text in (("missing", None), ("short", "12"), ("odd", "a b c")):
        if text is not None:
            (tmp_path / name).write_text(text)
        queue = RunQueue(str(tmp_path / name))
        assert not queue.seen
        assert queue.waited_ns() == 0


def test_waiting_for_a_core_is_read_again_and_again(tmp_path):
    path = tmp_path / "schedstat"
    path.write_text("100 7 3\n")
    queue = RunQueue(str(path))
    assert queue.seen
    assert queue.waited_ns() == 7
    path.write_text("100 9 3\n")
    assert queue.waited_ns() == 9
    queue.close()
    queue.close()
    assert not queue.seen
