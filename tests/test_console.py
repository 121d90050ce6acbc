"""``lid-vae``: its words, and that what a program prints repeats the program that was typed."""

import subprocess
import sys
from pathlib import Path

import pytest

from lid_vae import __version__
from lid_vae.console import main
from lid_vae.system.invocation import as_argv, command, import_environment, prefix, typed_command

ROOT = Path(__file__).parents[1]
SCREEN = 24


@pytest.fixture
def said(capfd):
    """What ``lid-vae <words>`` answers: (exit status, stdout, stderr)."""

    def call(*words):
        before = list(sys.argv)
        status = 0
        try:
            main(words)
        except SystemExit as end:
            status = end.code or 0
        assert sys.argv == before
        return (status, *capfd.readouterr())

    return call


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_help_fits_a_screen(said, words):
    status, out, err = said(*words)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) <= SCREEN
    assert max(map(len, out.splitlines())) <= 120
    for work in ("train", "evaluate", "report", "status"):
        assert f"lid-vae {work} " in out


def test_version(said):
    assert said("--version") == (0, f"lid-vae {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (
            ("trian", "model=vae"),
            "There is no lid-vae trian. Did you mean lid-vae train? Write train, evaluate, report",
        ),
        (("evalute",), "Did you mean lid-vae evaluate?"),
        (("xyz",), "There is no lid-vae xyz. Write train, evaluate, report, status or wandb, or --help."),
        (("model=vae",), "Write the program first: lid-vae train model=vae"),
        (("--model",), "There is no lid-vae --model."),
    ],
)
def test_an_unknown_word_is_told_in_a_paragraph(said, words, answer):
    status, out, err = said(*words)
    assert (status, out) == (1, "")
    assert err.startswith("lid-vae: ")
    assert answer in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("train", "modle=vae"), "lid-vae train: There is no option modle. Did you mean model?"),
        (("train", "seed=0-2"), "lid-vae train: seed=0-2 asks for several runs."),
        (("evaluate", "smaples=3"), "lid-vae evaluate: There is no option smaples. Did you mean samples?"),
        (("report", "nowhere"), "lid-vae report: nowhere is no folder."),
        (("report", "figure=9"), "lid-vae report: There is no figure called figure_9."),
        (("status", "nowhere"), "lid-vae status: nowhere is no folder."),
        (("status",), "lid-vae status: No folder is named. Write: lid-vae status <folder>"),
    ],
)
def test_messages_begin_with_what_was_typed(said, words, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    status, out, err = said(*words)
    assert (status, out) == (1, "")
    assert err.startswith(answer)
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("work", ["train", "evaluate", "report", "status"])
def test_help_names_the_program_that_was_typed_and_no_torch_is_imported(work):
    source = f"""
import sys
from lid_vae.console import main
sys.argv = ["/somewhere/bin/lid-vae", {work!r}, "--help"]
try:
    main()
finally:
    print({{"torch", "pytorch_lightning"}} & {{*sys.modules}}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "set()"
    assert f"lid-vae {work} " in done.stdout
    assert "python" not in done.stdout
    assert "${command" not in done.stdout


def test_its_own_help_imports_no_hydra():
    source = "import sys; from lid_vae.console import main; main(['--help']); sys.exit('hydra' in sys.modules)"
    subprocess.run([sys.executable, "-c", source], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_the_scripts_go_on_naming_themselves(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "model=vae", "data.path=my folder"])
    assert typed_command() == "python train.py model=vae 'data.path=my folder'"
    assert [prefix(work) for work in ("train", "evaluate", "report", "status")] == [
        "train.py",
        "evaluate.py",
        "python -m lid_vae.report",
        "python -m lid_vae.sweep",
    ]
    assert command("train") == "python train.py"
    assert command("status") == "python -m lid_vae.sweep status"


def test_the_console_program_is_repeated_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "argv", as_argv("train", ["model=vae", "data.path=my folder"]))
    assert typed_command() == "lid-vae train model=vae 'data.path=my folder'"
    assert prefix("evaluate") == command("evaluate") == "lid-vae evaluate"


def test_a_further_process_imports_this_checkout(monkeypatch, tmp_path):
    """Wherever it is started, and not what lies there."""
    (tmp_path / "lid_vae").mkdir()
    (tmp_path / "lid_vae" / "__init__.py").write_text("raise ImportError('another one')")
    monkeypatch.setenv("PYTHONPATH", "")
    for name, value in import_environment().items():
        monkeypatch.setenv(name, value)
    done = subprocess.run(
        [sys.executable, "-c", "import lid_vae; print(lid_vae.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == str(ROOT / "lid_vae" / "__init__.py")
