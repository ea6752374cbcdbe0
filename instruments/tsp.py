"""Instruments of Keithley that take scripts for commands (Test Script Processor, Lua): the same drivers, other words.

A driver names attributes where others name headers, "smux" for the channel that it drives. What other makes get as
"header value;question?" goes out as one line of assignments and one print. An assignment that is refused ends the line:
then no answer comes, and the error queue says why.
"""

from collections.abc import Sequence
from typing import Literal

from labneuro.instruments.scpi import SCPIInstrument

Channel = Literal["a", "b"]


class ScriptedInstrument(SCPIInstrument):
    """An instrument that is spoken to in scripts."""

    NEXT_ERROR = "print(string.format('%d,\"%s\"', errorqueue.next()))"
    REPEAT = "print(string.format('%d', {}))"
    IDENTIFY = "*IDN?"

    channel: Channel = "a"

    def message(self, first: str, questions: Sequence[str]) -> str:
        """Return the line that makes the assignments in `first` and prints what is asked, events and error last."""
        units = first.split(";") if first else []
        assigned = ("{} = {}".format(*unit.split(" ", 1)) for unit in units if not unit.endswith("?"))
        asked = [unit.removesuffix("?") for unit in (*(u for u in units if u.endswith("?")), *questions)]
        form = "%.9e;" * len(asked) + '%d;%d,"%s"'
        values = ", ".join([*asked, "status.standard.event", "errorqueue.next()"])
        line = " ".join([*assigned, f"print(string.format('{form}', {values}))"])
        return line.replace("smux.", f"smu{self.channel}.")

    def ask_all(self, *questions: str, first: str = "", anyway: bool = False) -> list[str]:
        """Do as every instrument does; whole numbers come without a point, as others give them."""
        answers = super().ask_all(*questions, first=first, anyway=anyway)
        return [f"{float(a):.0f}" if float(a).is_integer() else a for a in answers]
