"""What a run shows while it trains: pictures that change nothing, and its progress in one line."""

import fcntl
import os
import pty
import re
import struct
import sys
import termios
import threading
from pathlib import Path
from statistics import fmean
from textwrap import indent

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ProgressBar
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lid_vae.errors import UserError
from lid_vae.log.bar import CLEAR_REST, fit
from lid_vae.log.progress import SHOWN, WINDOW, ProgressLine, ProgressLog, _said, progress
from lid_vae.log.tensorboard_logger import TensorBoardLogger
from lid_vae.run.panels import Panels
from lid_vae.text.texts import take_texts


class Terminal:
    """A pseudo-terminal in the place of standard output; ``states`` is what its line showed, one after the other."""

    def __init__(self, columns: int) -> None:
        self.reading_end, writing_end = pty.openpty()
        fcntl.ioctl(writing_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stdout = os.fdopen(writing_end, "w")
        self.pieces: list[bytes] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def close(self) -> str:
        """All that was written."""
        self.stdout.close()
        self.reader.join(10)
        os.close(self.reading_end)
        return b"".join(self.pieces).decode()

    def _read(self) -> None:
        try:
            while piece := os.read(self.reading_end, 4096):
                self.pieces.append(piece)
        except OSError:
            return  # Linux's way of saying that the writing end is closed


def images(folder: Path) -> dict[str, list[int]]:
    events = EventAccumulator(str(folder), {"images": 0})
    events.Reload()
    return {name: [event.step for event in events.Images(name)] for name in events.Tags()["images"]}


def weights(module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def test_a_run_is_bit_for_bit_the_same_with_and_without_its_pictures(make, run, tmp_path):
    results, measures = [], []
    for hooks in ([], [Panels(every=1, examples=20)]):
        torch.manual_seed(0)
        made = make("data=pinwheel")
        loggers = [TensorBoardLogger(str(tmp_path / str(len(hooks))))]
        trainer = run(made, 2, False, hooks=hooks, loggers=loggers, logger=False)
        loggers[0].save()  # a thread writes
        results.append([*weights(made[0]), torch.random.get_rng_state()])
        measures.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert measures[0] == measures[1]
    assert images(tmp_path / "0") == {}
    assert images(tmp_path / "1")["visuals/valid/latents"] == [4, 8]


def test_panels_come_every_few_validations_and_go_on_counting_after_a_resume(make, run, tmp_path):
    made, panels, logger = make("data=pinwheel"), Panels(every=2, examples=20), TensorBoardLogger(str(tmp_path))
    run(made, 5, False, hooks=[panels], loggers=[logger], logger=False)
    logger.save()  # a thread writes
    assert images(tmp_path) == {f"visuals/valid/{name}": [8, 16] for name in ("latents", "samples", "usage")}
    resumed = Panels(every=2)
    resumed.load_state_dict(panels.state_dict())
    assert resumed.validations == 5


def test_models_of_text_are_shown_as_text_and_train_the_same(make, run, tmp_path):
    results = []
    for number, hooks in enumerate(([], [Panels(every=2, examples=20)])):
        made = make("data=synthetic_text", "model=lidsvae", "likelihood.word_dropout=0.2")
        loggers = [TensorBoardLogger(str(tmp_path / str(number)))]
        run(made, 2, False, hooks=hooks, loggers=loggers, logger=False)
        loggers[0].save()  # a thread writes
        results.append([*weights(made[0]), torch.random.get_rng_state()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert images(tmp_path / "0") == {}
    assert images(tmp_path / "1") == {"visuals/valid/latents": [6], "visuals/valid/activity": [6]}
    events = EventAccumulator(str(tmp_path / "1"), {"tensors": 0})
    events.Reload()
    (event,) = events.Tensors("valid/texts/text_summary")
    assert event.step == 6
    assert event.tensor_proto.string_val[0].decode() == indent(
        take_texts(*made, "valid").page(), "    ", lambda line: True
    )


def test_no_pictures_where_nobody_takes_them(make, run, monkeypatch):
    def refuse(*_):
        raise AssertionError("a picture was made for nobody")

    monkeypatch.setattr("lid_vae.run.panels.take_picture_data", refuse)
    run(make("data=pinwheel"), 1, False, hooks=[Panels(every=1)], logger=False)
    run(make("data=pinwheel"), 1, False, hooks=[Panels(every=0)], logger=False)


def test_panels_of_nothing_are_refused():
    with pytest.raises(UserError, match=r"callbacks\.panels\.every=-1"):
        Panels(every=-1)
    with pytest.raises(UserError, match=r"callbacks\.panels\.examples=0"):
        Panels(examples=0)


def test_a_log_has_one_plain_line_for_each_validation(make, run, capsys):
    made = make("data=pinwheel", "seed=3")
    assert isinstance(progress(), ProgressLog)
    trainer = run(made, 2, callbacks=[ProgressLog()], logger=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("seed")]
    number = r"-?\d+\.\d+"
    divergence = r"\d+\.\d+( \(consistent with 0\))?"
    measures = rf"bound {number}  AU \d\.\d\d  KL {divergence}  MI {divergence}  LL {number}  accuracy {number}"
    assert len(lines) == 2
    assert re.fullmatch(rf"seed 3  epoch 1/2  {measures}  \d+ s", lines[0])
    assert lines[1].startswith(f"seed 3  epoch 2/2  bound {float(trainer.callback_metrics['valid/bound']):.3f}  AU")


@pytest.mark.parametrize(
    ("short", "value", "said"),
    [("MI", -0.01, "0.000 (consistent with 0)"), ("KL", 0.25, "0.250"), ("AU", 1.0, "1.00"), ("LL", -2.5, "-2.500")],
)
def test_a_line_of_progress_shows_no_divergence_below_zero(short, value, said):
    assert short in SHOWN.values()
    assert _said(short, value) == said


NUMBERS = ("bound -2.349 AU 1.00 MI 0.000 (consistent with 0)", "bound -2.349 AU 1.00 MI 0.000")


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (117, f"seed 0  epoch 12/12 {'█' * 17} step 1164/1164 [00:21<00:00], {NUMBERS[0]}"),
        (100, f"seed 0  epoch 12/12 step 1164/1164 [00:21<00:00], {NUMBERS[0]}"),
        (90, f"seed 0  epoch 12/12 {'█' * 5} [00:21<00:00], {NUMBERS[0]}"),
        (77, f"seed 0  epoch 12/12 {'█' * 12} [00:21<00:00], {NUMBERS[1]}"),
        (57, f"seed 0  epoch 12/12 {'█' * 6}, {NUMBERS[1]}"),
        (30, NUMBERS[1]),
        (12, "bound -2.349"),
    ],
)
def test_the_bar_gives_way_before_the_numbers(width, line):
    assert fit("seed 0  epoch 12/12", "step 1164/1164", "[00:21<00:00]", NUMBERS, 1.0, width, True) == line


def test_the_bound_on_a_terminal_is_a_running_mean(make, run, monkeypatch):
    class Seen(pl.Callback):
        def __init__(self):
            self.bounds = []

        def on_train_batch_end(self, trainer, *_):
            if "train/bound" in trainer.callback_metrics:
                self.bounds.append(float(trainer.callback_metrics["train/bound"]))

    made, seen, terminal = make("data=pinwheel"), Seen(), Terminal(110)
    monkeypatch.setattr(sys, "stdout", terminal.stdout)
    monkeypatch.setattr("lid_vae.log.progress.EVERY", 1)
    run(made, 4, callbacks=[seen, ProgressLine()], logger=False)
    shown = re.findall(r"bound (-?\d+\.\d+)", terminal.close())[-1]
    assert len(seen.bounds) > WINDOW
    assert shown == f"{fmean(seen.bounds[-WINDOW:]):.3f}"


@pytest.mark.parametrize("columns", [60, 80, 110])
def test_a_terminal_has_one_line_that_fits(make, run, monkeypatch, columns):
    made, bar, terminal = make("data=pinwheel"), ProgressLine(), Terminal(columns)
    monkeypatch.setattr(sys, "stdout", terminal.stdout)
    run(made, 2, callbacks=[bar], logger=False)
    text = terminal.close()
    states = [state.strip() for state in text.replace(CLEAR_REST, "").split("\r") if state.strip()]
    assert text.count("\n") == 1, "one line, ended once"
    assert max(map(len, states)) <= columns - len("^C"), "which a terminal echoes behind it"
    assert re.search(r"bound -?\d+\.\d+ AU \d\.\d\d MI \d+\.\d\d\d", states[-1]), "the numbers are whole"
    assert states[0].startswith("seed 0  epoch 1/2")
    assert states[-1].startswith("seed 0  epoch 2/2")
    if columns == 110:
        assert re.search(
            r"step 8/8 \[.*\], bound -?\d+\.\d+ AU \d\.\d\d MI \d+\.\d+( \(consistent with 0\))?$", states[-1]
        )
    assert bar.bar is None


def test_a_long_validation_says_how_far_it_is(make, run, monkeypatch):
    made, terminal = make("data=pinwheel", "data.eval_batch_size=10"), Terminal(110)
    monkeypatch.setattr(sys, "stdout", terminal.stdout)
    monkeypatch.setattr("lid_vae.log.progress.OFTEN", 0.0)
    run(made, 1, callbacks=[ProgressLine()], logger=False)
    states = [state for state in terminal.close().replace(CLEAR_REST, "").split("\r") if state.strip()]
    told = re.findall(r"epoch 1/1, validating: (\d+)%", "\n".join(states))
    assert told == ["25", "50", "75", "100"]
    assert "validating" not in states[-1]


def test_a_bar_resumes_where_the_run_stands(make, run, tmp_path, monkeypatch):
    made, terminal = make("data=pinwheel"), Terminal(110)
    run(made, 1, False, logger=False).save_checkpoint(tmp_path / "last.ckpt")
    monkeypatch.setattr(sys, "stdout", terminal.stdout)
    run(made, 2, callbacks=[ProgressLine()], logger=False, ckpt_path=tmp_path / "last.ckpt")
    states = [state for state in terminal.close().split("\r") if state.strip()]
    assert "step 4/8" in states[0]
    assert "step 8/8" in states[-1]


@pytest.mark.parametrize(("columns", "kind"), [(80, ProgressLine), (0, ProgressLog)])
def test_the_terminal_decides_which_progress_is_shown(monkeypatch, columns, kind):
    terminal = Terminal(columns)
    monkeypatch.setattr(sys, "stdout", terminal.stdout)
    assert isinstance(progress(), kind)
    terminal.close()


def test_progress_can_be_switched_off(make, run, capsys):
    silent = progress(enabled=False)
    assert not isinstance(silent, ProgressBar)
    run(make("data=pinwheel"), 1, False, callbacks=[silent], logger=False)
    assert capsys.readouterr().out == ""


def test_a_disabled_bar_is_silent(make, run, capsys):
    bars = [ProgressLine(), ProgressLog()]
    for bar in bars:
        bar.disable()
        run(make("data=pinwheel"), 1, callbacks=[bar], logger=False)
    assert "  epoch" not in capsys.readouterr().out
