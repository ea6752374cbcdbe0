import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from labneuro.instruments.scpi import SCPIInstrument
from labneuro.limits import envelope
from labneuro.parameters import parameters

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DRIVERS: dict[str, str] = PROJECT["entry-points"]["labneuro.drivers"]


@pytest.mark.parametrize("name", sorted(DRIVERS))
def test_a_driver_that_a_bench_file_can_name_plays_one_role_and_explains_its_settings(name: str) -> None:
    driver = EntryPoint(name, DRIVERS[name], "labneuro.drivers").load()
    assert issubclass(driver, envelope(driver).role)
    if not name.endswith("-rig") and name != "arc-two":  # made of instruments; behind its makers' library
        assert issubclass(driver, SCPIInstrument)
        assert {"resource", "visa_library", "timeout"} <= {p.name for p in parameters(driver)}
    assert all(p.help for p in parameters(driver))


def test_every_driver_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "instruments.md").read_text(encoding="utf-8")
    assert [name for name in DRIVERS if f"`{name}`" not in page] == []
