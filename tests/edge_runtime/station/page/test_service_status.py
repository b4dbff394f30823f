"""The service is asked at most once a second, whoever looks."""

from edge_runtime.station.page.service_status import ServiceStatus


def test_one_answer_serves_all_for_a_second():
    asked, now = [], [100.0]

    def ask():
        asked.append(now[0])
        return {"number": len(asked)}

    status = ServiceStatus(ask, lambda: now[0])
    assert [status.read()["number"] for _ in range(5)] == [1] * 5
    now[0] = 100.9
    assert status.read()["number"] == 1
    now[0] = 101.0
    assert status.read()["number"] == 2
