from todo import parse
import pytest


@pytest.mark.parametrize("line, command", [("LIST", "list"), ("add a", "add"), ("  Done 1", "done")])
def test_r4_parse(line, command):
    assert parse(line)[0] == command
