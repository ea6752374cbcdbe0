"""A module that can't be imported here."""

import a_package_that_nobody_has


def needy() -> None:
    """Need something."""
    a_package_that_nobody_has.use()
