"""Several actions that must all be tried, whatever the earlier ones raise: how a laboratory is left safe."""

from collections.abc import Callable, Iterable, Sequence


def try_all(actions: Iterable[Callable[[], None]]) -> list[BaseException]:
    """Do every action, whatever the earlier ones raise, an interrupt included; return what was raised."""
    raised: list[BaseException] = []
    for action in actions:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - an interrupt must not leave the next output on
            raised.append(error)
    return raised


def raise_all(what: str, raised: Sequence[BaseException]) -> None:
    """Raise what `try_all` returned, if anything: one group, whose message begins with `what`.

    An interrupt is raised alone, with a note on the rest, so that it still works as an interrupt.
    """
    errors = [error for error in raised if isinstance(error, Exception)]
    said = f"{what}: {'; '.join(in_words(error) for error in errors)}"
    for interrupt in (error for error in raised if not isinstance(error, Exception)):
        if errors:
            interrupt.add_note(said)
        raise interrupt
    if errors:
        raise ExceptionGroup(said, errors)


def in_words(error: BaseException) -> str:
    """Return an exception as one line, without the count that Python adds to the message of a group."""
    text = error.message if isinstance(error, BaseExceptionGroup) else f"{type(error).__name__}: {error}"
    return " ".join(text.removesuffix(": ").split())
