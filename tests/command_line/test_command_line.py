"""The user's own commands reach Hydra as meant, and errors are told in a paragraph."""

import errno
import logging
import pickle
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from hypothesis import assume, example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lid_vae.command_line import main, rewrite
from lid_vae.command_line.arguments import in_todays_words
from lid_vae.command_line.help import laid_out, lay_out
from lid_vae.command_line.mistake import find_odd_value
from lid_vae.command_line.program import Job
from lid_vae.errors import UserError
from lid_vae.launch.sweeper import RunFailed

ROOT = Path(__file__).resolve().parents[2]
MINIATURE = {
    "train.yaml": """
        defaults:
          - _self_
          - data: pinwheel
          - model: lidgmvae
          - experiment: null
          - override hydra/sweeper: lid_vae
          - override hydra/help: lid_vae
          - override hydra/job_logging: lid_vae
          - override hydra/hydra_logging: lid_vae
        hydra: {job: {name: train}, output_subdir: null, run: {dir: .}, sweep: {dir: ., subdir: .}}
        seed: 0
        ckpt: null
        interpolate: null
        force: false
        trainer: {max_epochs: 3}
        paths: {data: data, runs: runs}
        """,
    "model/lidgmvae.yaml": "{name: lidgmvae, depth: 2}",
    "model/gmvae.yaml": "{name: gmvae, depth: 2}",
    "data/pinwheel.yaml": "{train_size: null, seed: 0, radial: 0.3, path: x}",
    "data/images.yaml": "{train_size: null, seed: 0, train: '???', size: [28, 28], path: x}",
    "data/mnist.yaml": "{train_size: null, seed: 0}",
    "experiment/sweep.yaml": """
        # @package _global_
        hydra: {sweeper: {params: {seed: '0-2,7'}}}
        """,
}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    """A miniature of conf/, with the program's own help and logging, and an empty working directory."""
    folder = tmp_path / "conf"
    for name, text in MINIATURE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        (folder / name).write_text("\n".join(line[indent:] for line in lines))
    (folder / "hydra").symlink_to(ROOT / "conf" / "hydra")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


@pytest.fixture
def run(conf, monkeypatch, capfd):
    """Run the command line on a stand-in for lid_vae.run.fit: (exit status, configurations, stdout, stderr)."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def go(*arguments, body=lambda cfg: 0.0):
        seen = []

        def plan_run(cfg, presets, *, sweep, overrides):
            seeds = OmegaConf.to_container(cfg).get("seed")
            seeds = seeds if isinstance(seeds, list) else [seeds]
            members = [types.SimpleNamespace(seed=seed, folder=conf.parent / f"seed-{seed}") for seed in seeds]
            return types.SimpleNamespace(
                cfg=cfg, members=members, overrides=overrides, options={}, headline=lambda: "a run"
            )

        def attempt(cfg):
            seen.append(OmegaConf.to_container(cfg))
            try:
                return body(cfg)
            except Exception as error:
                return error

        def train(plan):
            seeds = [member.seed for member in plan.members]
            return {seed: attempt(OmegaConf.merge(plan.cfg, {"seed": seed})) for seed in seeds}

        fit = types.ModuleType("lid_vae.run.fit")
        fit.train = train
        monkeypatch.setitem(sys.modules, "lid_vae.run.fit", fit)
        monkeypatch.setattr("lid_vae.command_line.program.plan_run", plan_run)
        status = 0
        try:
            main("train", ["train.py", *arguments], conf)
        except SystemExit as stop:
            status = stop.code or 0
        finally:
            root.handlers[:], root.level = handlers, level
        captured = capfd.readouterr()
        return status, seen, captured.out, captured.err

    return go


def parse(override):
    return OverridesParser.create().parse_override(override)


# --- rewriting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("model=lidgmvae data=mnist -m seed=0-9", "-m model=lidgmvae data=mnist seed=range(0,10)"),
        ("-m seed=0-2,7", "-m seed=0,1,2,7"),
        ("seed=3", "seed=3"),
        ("seed=4,2 --multirun", "--multirun seed=4,2"),
        ("-m seed=range(0,3)", "-m seed=range(0,3)"),
        ("data.seed=1 --cfg job data.train_size=20000", "--cfg job data.seed=1 data.train_size=20000"),
        ("seed=1 --info defaults --resolve -cd=x", "--info defaults --resolve -cd=x seed=1"),
        ("--info seed=1", "--info seed=1"),
        (
            "data.train_size=null data.drop=true data.size=[28,28]",
            "data.train_size=null data.drop=true data.size=[28,28]",
        ),
        ("-m data.train_size=1000,2000 data.kind=a,b-c", "-m data.train_size=1000,2000 data.kind=a,b-c"),
        ("data.kind=a,b", "data.kind='a,b'"),
        ("-m ckpt=a,b paths.runs=1,2", "-m ckpt='a,b' paths.runs='1,2'"),
        ("-m hydra/sweeper=optuna seed=0-2", "-m hydra/sweeper=optuna seed=[0,1,2]"),
        ("seed=[0,2]", "seed=[0,2]"),
        ("-m ckpt=choice(a,b)", "-m ckpt=choice(a,b)"),
        ("ckpt=choice(a,b)", "ckpt='choice(a,b)'"),
        ("ckpt=123 interpolate=true ckpt=null", "ckpt='123' interpolate='true' ckpt=null"),
        ("ckpt='a=b' +data.train=a=b ~data.train", "ckpt='a=b' +data.train='a=b' ~data.train"),
        ("ckpt=${paths.runs}/best.ckpt", "ckpt=${paths.runs}/best.ckpt"),
        ("model=vae,gmvae trainer.max_epochs=3", "model=vae,gmvae trainer.max_epochs=3"),
    ],
)
def test_rewrite(typed, expected):
    assert rewrite(typed.split(" ")) == expected.split(" ")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("seed=0-9", "-m seed=0-9"),
        ("seed=1,2", "-m seed=1,2"),
        ("-m seed=9-0", "seed=0-9"),
        ("-m seed=1-2-3", "'1-2-3'"),
        ("seed=abc", "seed=abc"),
        ("seed=-1", "seed=-1"),
        ("--model=vae", "model=vae"),
        ("--mutlirun", "--multirun"),
        ("--cfg job -m seed=0-9", "--cfg"),
    ],
)
def test_rewrite_refuses(typed, words):
    with pytest.raises(UserError) as refused:
        rewrite(typed.split(" "))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def survives(key, text, flags=()):
    override = rewrite([*flags, f"{key}={text}"])[-1]
    parsed = parse(override)
    assert not parsed.is_sweep_override()
    # A sweep writes the value out and parses it once more.
    again = parse(f"{key}={parsed.get_value_element_as_str()}")
    assert again.value() == parsed.value()
    return parsed.value()


AWKWARD = st.text(
    st.one_of(st.sampled_from(list("='\",\\ ${}[]():|~*<>\t\n-0a")), st.characters(exclude_characters="\0"))
)


@example(" a ", "ckpt", ())
@example("a\\,b", "ckpt", ())
@example("str(3)", "ckpt", ("-m",))
@given(AWKWARD, st.sampled_from(["ckpt", "text", "interpolate_file", "paths.runs"]), st.sampled_from([(), ("-m",)]))
def test_any_path_survives(text, key, flags):
    assume(text.strip().lower() != "null" and not text.strip().startswith("choice"))
    assume(not (text.strip()[:1] in ("'", '"') and text.strip()[-1:] == text.strip()[:1]))  # already in Hydra's quotes
    assert survives(key, text, flags) == text


@given(AWKWARD, st.sampled_from([(), ("-m",)]))
def test_any_data_path_survives(text, flags):
    assert survives("data.train", "/folder/" + text, flags) == "/folder/" + text


@example("${sat} \\${sat} \\\\${sat}\\")
@example("'twas' ${")
@given(AWKWARD)
def test_any_sentence_survives_to_the_configuration(text):
    assume(text != "null")
    config = OmegaConf.create({"interpolate": None, "sat": "wrong"})
    OmegaConf.update(config, "interpolate", survives("interpolate", text))
    assert OmegaConf.to_container(config, resolve=True)["interpolate"] == text


@given(st.one_of(st.integers(), st.booleans(), st.none(), st.lists(st.integers())))
def test_plain_data_values_keep_their_type(value):
    text = "null" if value is None else str(value)
    assert survives("data.train_size", text) == value


# --- the program -----------------------------------------------------------------------------------------------------


def test_the_users_own_command(run):
    status, seen, _, _ = run("model=gmvae", "data=images", "data.train=a=b,'c'", "-m", "seed=0-2")
    assert status == 0
    assert [cfg["seed"] for cfg in seen] == [0, 1, 2]
    assert {cfg["model"]["name"] for cfg in seen} == {"gmvae"}
    assert {cfg["data"]["train"] for cfg in seen} == {"a=b,'c'"}
    assert list(Path().iterdir()) == []  # no outputs/, multirun/ or .hydra/


def test_a_seed_range_in_a_file(run):
    status, seen, _, _ = run("experiment=sweep", "model=gmvae,lidgmvae", "-m")
    assert status == 0
    assert [cfg["seed"] for cfg in seen] == [0, 1, 2, 7, 0, 1, 2, 7]
    assert [cfg["seed"] for cfg in run("experiment=sweep", "-m", "seed=5")[1]] == [5]
    status, seen, _, err = run("experiment=sweep")
    assert (status, len(seen)) == (0, 1)
    assert "add -m" in err


def test_a_job_sees_the_users_command(run, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "no")
    argv = []
    before = list(sys.argv)
    run("seed=1", "-m", body=lambda cfg: argv.extend([*sys.argv, __import__("os").environ["HYDRA_FULL_ERROR"]]))
    assert argv == ["train.py", "seed=1", "-m", "no"]
    assert sys.argv == before


def test_a_failed_run_does_not_hide_the_others(run):
    def body(cfg):
        if cfg.seed == 1:
            raise UserError("Unlucky.\nUse seed=2.")
        if cfg.seed == 3:
            raise ZeroDivisionError("a bug")

    status, seen, _, err = run("-m", "seed=0-4", "hydra.sweeper.max_batch_size=2", body=body)
    assert status == 1
    assert [cfg["seed"] for cfg in seen] == [0, 1, 2, 3, 4]
    summary = err.split("2 of 5 runs failed; the others are finished:")[1].splitlines()
    assert summary[1:3] == ["  seed=1: Unlucky.", "  seed=3: ZeroDivisionError: a bug"]
    assert err.count("Traceback") == 1  # the bug's, not the user's


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("modle=gmvae", "Did you mean model?"),
        ("model=lidgmvea", "Did you mean model=lidgmvae? Choices of model: gmvae, lidgmvae."),
        ("-m model=gmvae,lidgmvea", "Did you mean model=lidgmvae?"),
        ("trainer.max_epoch=3", "Did you mean trainer.max_epochs?"),
        ("-m trainer.max_epoch=3 seed=0-1", "Did you mean trainer.max_epochs?"),
        ("max_epochs=3", "Did you mean trainer.max_epochs?"),
        ("data=images data.radial=1", "data.radial with these choices. It belongs to data=pinwheel."),
        ("data=mnist data.path=x", "It belongs to data=images and data=pinwheel."),
        ("gmvae", "Write model=gmvae"),
        ("model=gmvae,lidgmvae", "Add -m"),
        ("model=a{b", "cannot be read"),
        ("zzz=3", "--cfg job"),
        ("seed=0-3", "-m seed=0-3"),
    ],
)
def test_mistakes_on_the_command_line(run, arguments, words):
    status, seen, out, err = run(*arguments.split())
    assert status == 1
    assert seen == []
    assert words in err
    assert "HYDRA_FULL_ERROR=1" in err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) == 1


def chained(error, cause):
    error.__cause__ = cause
    return error


def wrapped(cause):
    return chained(InstantiationException("Error in call to target 'x'\nfull_key: model"), cause)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("LIDGMVAE needs an injective map."), "needs an injective map"),
        (wrapped(UserError("LIDGMVAE needs an injective map.")), "needs an injective map"),
        (wrapped(chained(UserError("Could not write /x."), OSError(errno.EIO, "lost", "/y"))), "Could not write /x."),
        (wrapped(TypeError("got an unexpected keyword argument 'wdith'")), "the options under model"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/runs/x"), "/runs/x"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/data/x.gz"), "/data/x.gz"),
    ],
)
def test_errors_in_a_job_are_told_in_a_paragraph(run, error, words):
    def body(cfg):
        raise error

    status, _, out, err = run(body=body)
    assert status == 1
    assert words in err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("key", ["data.train", "trainer.nothing"])
def test_configuration_errors_in_a_job_name_the_option(run, key):
    status, _, _, err = run("data=images", body=lambda cfg: eval(f"cfg.{key}"))
    assert status == 1
    assert key in err
    assert "Traceback" not in err


def test_a_bug_keeps_its_traceback(run):
    status, _, _, err = run(body=lambda cfg: [][1])
    assert status == 1
    assert "Traceback" in err
    assert "IndexError" in err


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("trainer.max_epochs=abc", "not a number, which is what belongs there. Write one, as in trainer.max_epochs=3."),
        ("trainer.max_epochs=2.5", "trainer.max_epochs=2.5 is no whole number, as stands there by default"),
        ("paths=here", "paths=here is one value for several options. Give it to one: paths.data, paths.runs"),
        ("force=maybe", "force=maybe is neither true nor false"),
        ("model=gmvae", None),
        ("trainer.max_epochs=4", None),
    ],
)
def test_a_value_of_the_wrong_type_is_named_when_the_run_fails(run, argument, words):
    def body(cfg):
        raise TypeError("cannot compare")

    status, _, _, err = run(argument, body=body)
    assert status == 1
    assert ("Traceback" in err) == (words is None)
    assert (words or "TypeError: cannot compare") in err


def test_a_value_of_the_wrong_type_is_named_in_a_process_that_hydra_does_not_run():
    """Where an engine carries a plan out."""
    assert "trainer.max_epochs=abc is not a number" in find_odd_value("train", ["trainer.max_epochs=abc", "seed=1"])
    assert find_odd_value("train", ["model=gmvae", "seed=[1,2]"]) is None


def test_text_where_a_number_is_usual_may_be_right(run):
    status, seen, _, _ = run("trainer.max_epochs=auto")
    assert (status, seen[0]["trainer"]["max_epochs"]) == (0, "auto")


class MisconfigurationException(Exception):
    """By the name of Lightning's."""


def test_a_device_that_is_not_there(run):
    def body(cfg):
        raise MisconfigurationException("No supported gpu backend found!")

    status, _, _, err = run(body=body)
    assert status == 1
    assert "No supported gpu" in err
    assert "Traceback" not in err


def test_full_error_on_request(run, monkeypatch):
    def body(cfg):
        raise UserError("Unlucky.")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert "Traceback" in run(body=body)[3]
    with pytest.raises(Exception, match="modle"):
        run("modle=gmvae")


def test_a_broken_configuration_file_is_named(run, conf):
    (conf / "model" / "gmvae.yaml").write_text("name: [gmvae")
    status, seen, _, err = run("model=gmvae")
    assert (status, seen) == (1, [])
    assert "gmvae.yaml" in err
    assert "Traceback" not in err


def test_interruption(run):
    def body(cfg):
        raise KeyboardInterrupt

    status, seen, _, err = run("-m", "seed=0-4", body=body)
    assert (status, len(seen)) == (130, 1)
    assert err.strip().splitlines()[-1] == (
        "train.py: interrupted; the same command goes on from the last checkpoints."
    )


def test_an_unwritable_folder_is_named(run):
    Path("file").write_text("")
    status, seen, _, err = run("-m", "seed=0-1", "hydra.sweep.dir=file/runs")
    assert (status, seen) == (1, [])
    assert "file/runs" in err
    assert "Traceback" not in err


def test_jobs_and_failures_travel_between_processes():
    job = Job("train", ("train.py", "seed=1"), None)
    assert pickle.loads(pickle.dumps(job)) == job
    failure = pickle.loads(pickle.dumps(RunFailed("a line", {3: "a line"})))
    assert (str(failure), failure.seeds) == ("a line", {3: "a line"})


def test_cfg_job(run):
    status, seen, out, _ = run("model=gmvae", "--cfg", "job")
    assert (status, seen) == (0, [])
    assert OmegaConf.create(out).model.name == "gmvae"


def test_help_reads_well_without_torch(conf):
    """From another folder, in a fresh process: the text tells choices and defaults, and torch stays unimported."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from lid_vae.command_line import main
try:
    main("train", ["train.py", "--help", "model=gmvae", "seed=1"], Path({str(conf)!r}))
finally:
    heavy = sorted({{"torch", "pytorch_lightning", "numpy", "lid_vae.run.fit"}} & set(sys.modules))
    print("heavy:", heavy)
    print("plugin:", "hydra_plugins.lid_vae_plugins.sweeper" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout
    assert "plugin: True" in done.stdout
    assert re.search(r"\n  model +gmvae, lidgmvae\n", done.stdout)
    assert re.search(r"\n  model=gmvae +\w", done.stdout), "with the choice that was made"
    assert re.search(r"\n  seed=1 +\w", done.stdout)
    assert "data.train_size=null" in done.stdout
    assert "force=false" in done.stdout
    assert "-m seed=0-9" in done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("train.py",),
        ("evaluate.py",),
        ("-m", "lid_vae.report"),
        ("-m", "lid_vae.sweep"),
        ("-c", "from lid_vae.console import main; main()"),
    ],
)
def test_help_keeps_within_eighty_columns_and_is_plain_where_it_is_piped(words):
    done = subprocess.run([sys.executable, *words, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    options = [line for line in lines if re.match(r"  [\w./]+=", line)]
    assert all(re.search(r"\S  +\S", line) or len(line) > 30 for line in options), "each says what it is"


SCREEN = """\
What it is.

  program option=1
      an example

OPTIONS
option=1 :: what it means
another_one=/a/path/that/is/long/enough/to/stand/alone :: where

CHOICES (group=choice)

figure: elsewhere
wandb: elsewhere
model: gmvae, lidgmvae
"""


def test_help_on_a_terminal_is_in_panels(monkeypatch, capsys):
    plain = lay_out(SCREEN, 60)
    assert plain.splitlines() == [
        "What it is.",
        "",
        "  program option=1",
        "      an example",
        "",
        "OPTIONS",
        "  option=1  what it means",
        "  another_one=/a/path/that/is/long/enough/to/stand/alone",
        "            where",
        "",
        "CHOICES (group=choice)",
        "  model  gmvae, lidgmvae",
    ]
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with laid_out(["--help"]):
        print(SCREEN)
    shown = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, shown)) == 60
    assert [line[:12] for line in shown if line.startswith("╭")] == ["╭─ Options ─", "╭─ Choices ("]
    assert "│ option=1  what it means" in "\n".join(shown)
    with laid_out([]):
        print(SCREEN)
    assert capsys.readouterr().out == SCREEN + "\n"


def test_the_plugin_is_registered_once():
    from hydra.core.plugins import Plugins
    from hydra.plugins.sweeper import Sweeper

    names = [plugin.__name__ for plugin in Plugins.instance().discover(Sweeper)]
    assert names.count("LidVaeSweeper") == 1


@pytest.mark.parametrize("script", ["train.py", "evaluate.py"])
def test_the_scripts_name_their_kind(script, monkeypatch):
    called = []
    monkeypatch.setattr("lid_vae.command_line.main", called.append)
    exec(compile((ROOT / script).read_text(), script, "exec"), {"__name__": "__main__"})
    assert called == [script.removesuffix(".py")]


def test_the_value_of_several_seeds_is_their_mean_and_one_that_fails_fails_it(tmp_path, capsys):
    job = Job("train", ("train.py",), None)
    members = [types.SimpleNamespace(seed=seed, folder=tmp_path / str(seed)) for seed in (3, 5)]
    plan = types.SimpleNamespace(members=members, overrides=(), options={}, headline=lambda: "runs")
    assert job._conclude(plan, {3: -1.0, 5: -2.0}, sweep=True) == -1.5
    with pytest.raises(RunFailed) as failed:
        job._conclude(plan, {3: -1.0, 5: UserError("Unlucky.")}, sweep=True)
    assert failed.value.seeds == {5: "Unlucky."}
    assert "Unlucky." in capsys.readouterr().err
    assert [path.parent.name for path in tmp_path.rglob("failed.json")] == ["5"]


def test_another_sweeper_sees_one_run_of_several_seeds(run):
    seen = []
    status, configurations, _, _ = run("-m", "hydra/sweeper=basic", "seed=0-2", body=lambda cfg: seen.append(cfg.seed))
    assert status == 0
    assert [cfg["seed"] for cfg in configurations] == [0, 1, 2]
    status, _, _, err = run("-m", "hydra/sweeper=basic", "seed=0-2", body=lambda cfg: 1 / (cfg.seed - 1))
    assert status == 1
    assert "ZeroDivisionError" in err


def test_what_omegaconf_raises_as_an_error_of_python_is_told_too(run):
    status, _, _, err = run("-m", "hydra/sweeper=basic", "hydra.sweeper.params={seed: '0'}")
    assert (status, "Traceback" in err) == (1, False)
    assert "hydra.sweeper.params cannot be merged with what was given: it is null." in err


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ("posterior=batch_norm", "normalization=batch_norm"),
        ("++posterior.gamma=0.7", "++normalization.gamma=0.7"),
        ("classical=SVAE", "counterpart=SVAE"),
        ("model=gmvae,classical", "model=gmvae,counterpart"),
        ("~posterior", "~normalization"),
    ],
)
def test_a_former_name_still_works_and_says_the_new_one(former, now):
    words, remarks = in_todays_words(["seed=0", former, "-m"])
    assert words == ["seed=0", now, "-m"]
    assert remarks == [f"{former} is now written {now}; the former name means the same."]


@pytest.mark.parametrize(
    "word", ["model=my_classical", "model=classical_mlp", "text=posterior=x", "data.path=a=classical", "-m", "family"]
)
def test_other_words_stay(word):
    assert in_todays_words([word]) == ([word], [])


def test_the_program_takes_a_former_name(tmp_path, capsys):
    main("train", ["train.py", "posterior=batch_norm", "--cfg", "job"])
    told = capsys.readouterr()
    assert "lid_vae.posterior.BatchNormPosterior" in told.out
    assert told.err == (
        "train.py: posterior=batch_norm is now written normalization=batch_norm; the former name means the same.\n"
    )


WITHOUT_TORCH = {
    "train.py --help": "import runpy; runpy.run_path('train.py', run_name='__main__')",
    "evaluate.py --help": "import runpy; runpy.run_path('evaluate.py', run_name='__main__')",
    "train.py --cfg job": "import runpy; runpy.run_path('train.py', run_name='__main__')",
    "lid_vae.sweep status .": "import runpy; runpy.run_module('lid_vae.sweep', run_name='__main__')",
    "the sweeper": "from hydra_plugins.lid_vae_plugins.sweeper import *",
    "the launchers": "from hydra_plugins.lid_vae_plugins.launchers import *",
    "the ensemble": "from hydra_plugins.lid_vae_plugins.seed_ensemble import *",
    "a plan": "from lid_vae.run.plan import plan_run; from lid_vae.launch import sweeper, status, manifest",
}


@pytest.mark.parametrize("words", WITHOUT_TORCH)
def test_what_trains_nothing_imports_no_torch(words):
    """It answers in a second, where torch alone takes several."""
    argv = words.split() if words in list(WITHOUT_TORCH)[:4] else [words]
    program = f"""
import sys
sys.argv = {argv!r}
try:
    exec({WITHOUT_TORCH[words]!r})
except SystemExit as end:
    assert not end.code, end.code
print({{"torch", "pytorch_lightning", "matplotlib"}} & {{*sys.modules}}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == "set()", done.stderr
