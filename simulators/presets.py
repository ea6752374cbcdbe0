"""Devices by name, as laws of `pulse_laws`: weights in normalised units, steps and spreads as fitted to measurements.

The numbers, but those of `Prezioso`, are of aihwkit's device presets (IBM, aihwkit.simulator.presets.devices; Rasch et
al., arXiv:2104.02184); `source` says what they were fitted to. A test holds each against the pulses that its mean
device takes across the range. Those with stuck devices are had by `dataclasses.replace(law, stuck=0.135)`.
"""

from labneuro.simulators.pulse_laws import CycleNoise, Exponential, Linear, PulseLaw, Spread

PRESETS: dict[str, PulseLaw] = {
    "ReRamES": PulseLaw(
        step=0.00135,
        up_down=0.259359,
        curve=Exponential(-0.5, -0.5, 5.0, 5.0, -1.18445, -0.081404),
        spread=Spread(step=0.2, up_down=0.05, w_max=0.3, w_min=0.3),
        cycle=CycleNoise(5.0),
        write_noise=75.0,
        source="exponential fit to HfO2 memory, Gong et al., Nat. Commun. 9, 2102 (2018)",
    ),
    "ReRamSB": PulseLaw(
        step=0.002,
        w_max=1.25,
        w_min=-0.75,
        curve=Linear(1.0, 1.0, own_bound=True),
        spread=Spread(step=0.3, up_down=0.01, w_max=0.3 / 1.25, w_min=0.3 / 0.75),
        cycle=CycleNoise(3.75, additive=True),
        write_noise=56.0,
        source="loose soft-bounds fit to HfO2 memory, symmetry point at 0, Gong et al., Nat. Commun. 9, 2102 (2018)",
    ),
    "Capacitor": PulseLaw(
        step=0.005,
        curve=Linear(0.05, 0.05, spread=0.01),
        spread=Spread(step=0.1, up_down=0.06, w_max=0.07, w_min=0.07, lifetime=0.3),
        cycle=CycleNoise(0.3, additive=True),
        lifetime=1e6,
        source="capacitor cell, Li et al., VLSI (2018); lifetime, in mini-batches, is an assumption of aihwkit",
    ),
    "EcRam": PulseLaw(
        step=0.002,
        w_max=1.1724,
        w_min=-0.8276,
        curve=Linear(0.1153, 0.5085, spread=0.05),
        spread=Spread(step=0.1, up_down=0.01, w_max=0.05, w_min=0.05),
        cycle=CycleNoise(0.3),
        source="lithium electrochemical memory, its symmetry point at 0, Tang et al., IEDM (2018)",
    ),
    "EcRamMO": PulseLaw(
        step=2.8214e-4,
        w_max=1.1714,
        w_min=-0.8286,
        curve=Linear(0.4152, 0.7342, spread=0.05),
        spread=Spread(step=0.1, up_down=0.01, w_max=0.05, w_min=0.05),
        cycle=CycleNoise(2.0),
        source="metal-oxide electrochemical memory, its symmetry point at 0, Kim et al., IEDM (2019)",
    ),
    "Idealized": PulseLaw(
        step=0.0002,
        spread=Spread(step=0.3, w_max=0.3, w_min=0.3),
        cycle=CycleNoise(0.3),
        source="about 10 000 symmetric steps, Rasch, Gokmen and Haensch, arXiv:1906.02698 (2019)",
    ),
    "GokmenVlasov": PulseLaw(
        step=0.0016,
        spread=Spread(step=0.3, up_down=0.01, w_max=0.3, w_min=0.3),
        cycle=CycleNoise(0.3),
        source="about 1200 steps, after Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016), in a range of ±1",
    ),
    "ConstantStep": PulseLaw(
        step=0.001,
        w_max=0.6,
        w_min=-0.6,
        spread=Spread(step=0.3, up_down=0.01, w_max=0.3, w_min=0.3),
        cycle=CycleNoise(0.3),
        source="Gokmen and Vlasov, Front. Neurosci. 10, 333 (2016): 1200 steps in ±0.6",
    ),
    "PCM": PulseLaw(
        step=0.01,
        w_max=2.0,
        w_min=0.0,
        curve=Exponential(-1.0, 0.0, 2.5, 2.5, -27.235, -2.235),
        spread=Spread(step=0.2, up_down=0.05, w_max=0.1, reset=0.02),
        cycle=CycleNoise(0.6, floor=0.042, slope=0.108),
        reset=0.01,
        source="phase-change memory, a device of a one-sided pair, Nandakumar et al., Front. Neurosci. 14, 406 (2020)",
    ),
    "ReRamArrayOM": PulseLaw(
        step=0.0949,
        curve=Linear(1.0, 1.0, own_bound=True),
        spread=Spread(step=0.7829, up_down=0.01, w_max=0.3499, w_min=0.5695, log_normal=True),
        cycle=CycleNoise(0.4158, additive=True),
        write_noise=1.4113,
        stuck_range=0.01,
        source="array of optimised memory, Gong et al., IEDM (2022); 13.5 % measured stuck, here none",
    ),
    "ReRamArrayHfO2": PulseLaw(
        step=0.4622,
        curve=Linear(1.0, 1.0, own_bound=True),
        spread=Spread(step=0.7125, up_down=0.01, w_max=0.4295, w_min=0.5990, log_normal=True),
        cycle=CycleNoise(0.2174, additive=True),
        write_noise=0.5841,
        stuck_range=0.01,
        source="array of HfO2 memory, Gong et al., IEDM (2022); 9.8 % measured stuck, here none",
    ),
    "Prezioso": PulseLaw(
        step=0.25 / 90,
        curve=Linear(1.0, 1.0, own_bound=True),
        spread=Spread(step=0.3),
        cycle=CycleNoise(0.3),
        source="stand-in for Al2O3/TiO2 of Prezioso et al., Nature 521, 61 (2015): from 10 to 100 µS steps of 0.25 µS "
        "at most, with which its letters take about as long; spreads are assumptions",
    ),
}
