from collections.abc import Callable
from pathlib import Path

import pytest

from labneuro import registry
from labneuro.roles import OscillatorChip, Role, SpectrumAnalyzer

Package = Callable[[str, str], None]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """Install a package of a given name with a given entry_points.txt, as pip does."""

    def install(name: str, entry_points: str) -> None:
        site = tmp_path / name
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(site)

    return install


def sweep() -> None:
    """Stand for a protocol."""


class Analyzer(Role):
    """Stand for a driver."""


def test_a_laboratory_adds_its_own_from_its_own_package(package: Package) -> None:
    package(
        "ourlab",
        f"[labneuro.protocols]\nour_sweep = {__name__}:sweep\n"
        f"[labneuro.drivers]\nour_analyzer = {__name__}:Analyzer\n"
        f"[labneuro.simulators]\nour_chip = labneuro.roles:OscillatorChip\n",
    )
    assert registry.load_protocol("our_sweep") is sweep
    assert registry.load_driver("our_analyzer") is Analyzer
    assert registry.load_driver("our_chip") is OscillatorChip
    assert {"our_analyzer", "our_chip", "oscillators"} <= set(registry.drivers())
    assert "our_sweep" in registry.protocols()
    assert "our_sweep" not in registry.drivers()


def test_what_comes_with_the_package_is_found() -> None:
    assert {"vowels", "response_map", "free_running", "injection_locking"} <= set(registry.protocols())
    assert "oscillators" in registry.drivers()


def test_an_unknown_name_is_answered_with_its_neighbour() -> None:
    with pytest.raises(registry.UnknownNameError, match=r"no protocol 'vowel' .* did you mean vowels\?"):
        registry.load_protocol("vowel")
    with pytest.raises(registry.UnknownNameError, match=r"no driver 'xyzzy' .* known: .*oscillators"):
        registry.load_driver("xyzzy")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module_of_ours:Driver", "can't be imported: No module named 'no_such_module_of_ours'"),
        ("labneuro.roles:NoSuchDriver", "can't be imported: .*NoSuchDriver"),
        ("labneuro.roles:abstractmethod", "not a subclass of a role"),
        ("pathlib:Path", "not a subclass of a role"),
    ],
)
def test_a_driver_that_is_none_says_so(package: Package, target: str, says: str) -> None:
    package("ourlab", f"[labneuro.drivers]\nbroken = {target}\n")
    with pytest.raises(registry.RegistryError, match=says):
        registry.load_driver("broken")


def test_two_packages_with_one_name_are_never_chosen_between_silently(package: Package) -> None:
    package("ourlab", "[labneuro.drivers]\nanalyzer = labneuro.roles:SpectrumAnalyzer\n")
    assert registry.load_driver("analyzer") is SpectrumAnalyzer
    package("theirlab", "[labneuro.simulators]\nanalyzer = labneuro.roles:Role\n")
    with pytest.raises(registry.RegistryError, match=r"two packages offer a driver 'analyzer' .* uninstall one"):
        registry.drivers()
