import pytest

from labneuro.attempts import in_words, raise_all, try_all


def test_every_action_is_tried_whatever_fails_before_it() -> None:
    done: list[int] = []

    def action(number: int, error: BaseException | None) -> None:
        done.append(number)
        if error is not None:
            raise error

    failures: list[BaseException | None] = [
        OSError("dead"),
        KeyboardInterrupt(),
        None,
        SystemExit(1),
        ValueError(),
    ]
    raised = try_all([lambda n=n, e=e: action(n, e) for n, e in enumerate(failures)])
    assert done == [0, 1, 2, 3, 4]
    assert raised == [e for e in failures if e is not None]


def test_nothing_raised_raises_nothing() -> None:
    raise_all("leaving", [])


def test_the_message_of_the_group_names_all_its_members_in_one_line() -> None:
    inner = ExceptionGroup("chip: OSError: dead", [OSError("dead")])
    with pytest.raises(ExceptionGroup) as caught:
        raise_all("leaving", [inner, ValueError("bad\nnews"), TimeoutError()])
    assert caught.value.message == "leaving: chip: OSError: dead; ValueError: bad news; TimeoutError"
    assert caught.value.exceptions[0] is inner
    assert in_words(caught.value) == caught.value.message


def test_an_interrupt_stays_an_interrupt_and_notes_the_rest() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        raise_all("leaving", [OSError("dead"), KeyboardInterrupt()])
    assert caught.value.__notes__ == ["leaving: OSError: dead"]
