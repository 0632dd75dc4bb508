"""What a user's own code raises becomes an error of theirs; what mfal's raises stays a defect."""

import pytest

from mfal.errors import ConfigError
from mfal.gfn.base import no_reward
from mfal.similarity import EditSimilarity
from mfal.user_code import user_code


class Mine(EditSimilarity):
    pass


def test_a_defect_of_mfal_is_raised_as_it_is() -> None:
    with pytest.raises(RuntimeError, match="asked for the reward"):
        exec_in_mfal(EditSimilarity())


@pytest.mark.parametrize("part", [Mine(), None, len])
def test_all_else_is_what_a_user_is_told(part: object) -> None:
    with pytest.raises(ConfigError, match=r"^it: RuntimeError: .* 1 candidates\n"):
        exec_in_mfal(part)


def test_a_users_line_below_a_part_of_mfal_is_named() -> None:
    with (
        pytest.raises(ConfigError, match=r"ZeroDivisionError: .*\(test_user_code.py, line"),
        user_code("it", "mend it", EditSimilarity()),
    ):
        _ = 1 // 0


def exec_in_mfal(part: object) -> None:
    """Raises where no line of a user's is: a frame of this file would be one."""
    source = "with user_code('it', 'mend it', part):\n    no_reward(['A'])"
    names = {"user_code": user_code, "part": part, "no_reward": no_reward}
    exec(compile(source, "<a test>", "exec"), names)
