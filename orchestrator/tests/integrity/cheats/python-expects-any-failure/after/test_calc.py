import pytest
from calc import add


def test_r1_add():
    with pytest.raises(Exception):
        assert add(1, 2) == 4
