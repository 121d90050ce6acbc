"""Results are sorted into tables; what is missing, failed or damaged is named and never averaged away."""

import json

import pytest
from runs import Programs

from lid_vae.errors import UserError
from lid_vae.report.numbers.analysis import analyse
from lid_vae.report.numbers.search import chosen_rates
from lid_vae.report.output.table import runs_csv
from lid_vae.report.output.wording import caption, cell_parts
from lid_vae.report.study.configured import differences, read_config, settings
from lid_vae.report.study.results import read

MODELS = ("gmvae", "sa_vae", "lagging_vae", "beta_vae", "lidgmvae")


def lines(item):
    return {line.row.label: line for line in item.lines}


def test_rows_stand_in_the_papers_order_with_mean_and_deviation(runs):
    for model in (*MODELS, "vae"):
        for seed, ll in ((0, -2.0), (1, -3.0), (10, -7.0)):
            runs.write(model, seed, ll)
    (item,) = analyse(read([runs.folder]))
    assert [line.row.label for line in item.lines] == ["gmvae", "sa_vae", "lagging_vae", "beta_vae", "vae", "lidgmvae"]
    cell = item.lines[0].cells["ll"]
    assert (cell.summary.mean, cell.summary.sd) == (-4.0, pytest.approx(7**0.5))
    assert item.lines[0].row.seeds == [0, 1, 10]
    assert item.lines[0].seconds == 150.0
    assert item.lines[0].cells["ms"].summary.mean == pytest.approx(20)


def test_seeds_trained_together_share_their_time(runs):
    """Two seeds in one stack took 50 s and 20 ms a step; an older run tells its total alone, 50 s in 2,000 steps."""
    for seed in (0, 1):
        runs.write("gmvae", seed, seeds_together=2)
        runs.write("lidgmvae", seed, seconds_per_step=None)
    (item,) = analyse(read([runs.folder]))
    gmvae, lidgmvae = item.lines
    assert (gmvae.cells["ms"].summary.mean, gmvae.seconds) == (pytest.approx(10.0), 50.0)
    assert (lidgmvae.cells["ms"].summary.mean, lidgmvae.seconds) == (pytest.approx(25.0), 100.0)
    assert "of up to 2 seeds trained together each its share" in " ".join(caption(item))
    assert "with their validations" in " ".join(caption(item))


def test_the_papers_values_on_our_scale(runs):
    """-6.2 nats in coordinates five times ours are -6.2 + 2 log 5 = -2.98."""
    runs.write("gmvae", 0)
    runs.write("vae", 0)
    (item,) = analyse(read([runs.folder]))
    assert lines(item)["gmvae"].cells["ll"].paper == (pytest.approx(-2.981, abs=1e-3), 0.05)
    assert lines(item)["gmvae"].cells["kl"].paper == (1.4e-6, None)
    assert lines(item)["vae"].cells["ll"].paper is None
    text = " ".join(caption(item))
    assert "The paper's MI exceeds its KL, which cannot be" in text
    assert "MI = KL - KL(q(z) || p(z)) <= KL, nor can it exceed log 5 = 1.61 nats" in text
    assert "2 log 5 = 3.22 nats are added" in text


def test_the_papers_mnist_needs_no_change_of_scale(new_runs):
    runs = new_runs("table2_mnist", "mnist")
    runs.write("lidgmvae", 0, scale=None)
    (item,) = analyse(read([runs.folder]))
    assert lines(item)["lidgmvae"].cells["ll"].paper == (-95.4, 0.7)
    assert "coordinates" not in " ".join(caption(item))


def test_a_divergence_is_never_shown_below_zero(runs):
    """A lower bound of a collapsed model's information lies a little below; the numbers of the CSV stay as they are."""
    for seed, mi in enumerate((-0.002, -0.001, -0.003)):
        runs.write("gmvae", seed, mi=mi, kl=0.25)
    (item,) = analyse(read([runs.folder]))
    cells = lines(item)["gmvae"].cells
    shown = {measure.key: cell_parts(cells[measure.key], measure) for measure in item.measures}
    assert shown["mi"][:2] == ["0.000 (0.001)", "consistent with 0"]
    assert shown["kl"][0] == "0.250 (0.000)"
    assert shown["ll"][0].startswith("-2.000"), "a likelihood has no least value"
    assert cells["mi"].summary.mean == pytest.approx(-0.002)


def test_the_comparison_is_with_lidgmvae_and_corrected_for_the_rows(runs):
    """Eight seeds of one sign: 2 / 256, times two for the smaller of two p-values."""
    for seed in range(8):
        runs.write("lidgmvae", seed, -2.0)
        runs.write("gmvae", seed, -3.0 - seed)
        runs.write("sa_vae", seed, -2.0)
    (item,) = analyse(read([runs.folder]))
    assert item.comparisons == 2
    found = lines(item)
    assert found["gmvae"].cells["ll"].p == pytest.approx(2 * 2 / 256)
    assert found["gmvae"].cells["ll"].comparison.difference == pytest.approx(-4.5)
    assert found["sa_vae"].cells["ll"].p == 1.0
    assert found["lidgmvae"].cells["ll"].comparison is None
    assert found["gmvae"].cells["ll"].no_worse is None, "no margin"
    text = " ".join(caption(item))
    assert "corrected for the 2 rows compared by Holm's method" in text
    assert "8 seeds cannot give less than 0.016." in text
    assert "No p-values" not in text
    assert "margin" not in text


def test_too_few_seeds_have_differences_and_no_p_values(runs):
    """Five seeds can give 2 / 32, times two; seven would give .031. One-sided five are enough for one row, not two."""
    for seed in range(5):
        runs.write("lidgmvae", seed, -2.0 - 0.001 * seed)
        runs.write("gmvae", seed, -2.01)
        runs.write("sa_vae", seed, -2.01)
    (item,) = analyse(read([runs.folder]), margin=0.1)
    cell = lines(item)["gmvae"].cells["ll"]
    assert cell.comparison.difference == pytest.approx(-0.008)
    assert cell.comparison.effect < 0
    assert (cell.p, cell.no_worse, cell.equivalence) == (None, None, None)
    text = " ".join(caption(item))
    assert (
        "No p-values of rows with 5 seeds: after Holm's correction for 2 rows they cannot give less than 0.12, above "
        "0.05; 7 seeds would be enough."
    ) in text
    assert "Nothing is said of a margin of 0.1 nats of rows with 5 seeds" in text
    assert "less than 0.062, above 0.05; 6 seeds would be enough." in text


def test_what_is_no_worse_within_a_margin(runs):
    """LIDGMVAE is better than gmvae by more than the margin, as good as sa_vae, and worse than beta_vae by more."""
    for seed in range(8):
        runs.write("lidgmvae", seed, -2.0 + 0.01 * seed)
        for model, ll in (("gmvae", -3.0), ("sa_vae", -2.02), ("beta_vae", -1.5)):
            runs.write(model, seed, ll + 0.011 * seed)
    (item,) = analyse(read([runs.folder]), margin=0.1)
    found = {model: line.cells["ll"] for model, line in lines(item).items()}
    assert found["gmvae"].no_worse == found["sa_vae"].no_worse == pytest.approx(3 / 256)
    assert found["beta_vae"].no_worse == 1.0
    assert found["sa_vae"].equivalence == pytest.approx(3 / 256)
    assert found["gmvae"].equivalence == found["beta_vae"].equivalence == 1.0
    assert lines(item)["gmvae"].cells["mi"].no_worse is None, "the margin is of LL"
    text = " ".join(caption(item))
    assert "Within a margin of 0.1 nats of LL: no worse p is that of LIDGMVAE being worse by the margin or more" in text


def test_seeds_that_differ_are_named_and_the_paired_test_left_out(runs):
    for seed in range(4):
        runs.write("lidgmvae", seed)
        if seed != 2:
            runs.write("gmvae", seed)
        runs.write("sa_vae", seed)
    runs.expect(gmvae="0-3", lidgmvae="0-3", sa_vae="0-3")
    (item,) = analyse(read([runs.folder]))
    found = lines(item)
    assert found["gmvae"].count == "3 of 4"
    assert found["gmvae"].cells["ll"].comparison is None
    assert found["sa_vae"].cells["ll"].comparison is not None
    assert "GMVAE: seed 2 not run." in item.notes
    assert "GMVAE: no paired test, as only one of it and LIDGMVAE has seed 2." in item.untested


def test_missing_failed_and_half_written_runs_are_named(runs):
    for seed in range(5):
        runs.write("lidgmvae", seed)
    runs.write("gmvae", 0, -2.0)
    runs.place("gmvae", 1)
    (runs.place("gmvae", 2) / "failed.json").write_text(json.dumps({"error": "The sky fell."}))
    damaged = runs.write("gmvae", 3, -100.0)
    damaged.write_text(damaged.read_text()[:80])
    runs.expect(gmvae="0-4", lidgmvae="0-4")
    study = read([runs.folder])
    (item,) = analyse(study)
    line = lines(item)["gmvae"]
    assert line.count == "1 of 5"
    assert line.cells["ll"].summary.mean == -2.0
    assert item.notes[:4] == [
        "GMVAE: seed 1 unfinished.",
        "GMVAE: seed 2 failed: The sky fell.",
        "GMVAE: seed 3 result.json damaged.",
        "GMVAE: seed 4 not run.",
    ]
    (note,) = study.notes
    assert str(damaged) in note
    assert "half-written" in note


def test_a_model_whose_runs_all_failed_keeps_its_row(runs):
    runs.write("lidgmvae", 0)
    (runs.place("gmvae", 0, "abcd1234") / "failed.json").write_text('{"error": "No memory."}')
    (item,) = analyse(read([runs.folder]))
    line = lines(item)["gmvae"]
    assert line.count == "0 of 1"
    assert line.cells["ll"].summary is None
    assert item.notes == ["GMVAE: seed 0 failed: No memory."]


def test_an_unfinished_run_bears_the_name_that_it_will_have(runs):
    """Its configuration, which it stores when it begins, tells what a result would tell; a folder's name is a hash."""
    for depth in (1, 2):
        runs.write("lidgmvae", 0, tag=f"l{depth}", depth=depth)
        runs.configure("gmvae", 0, tag=f"g{depth}", map__depth=depth)
    before = [line.row.label for line in analyse(read([runs.folder]))[0].lines]
    for depth in (1, 2):
        runs.write("gmvae", 0, tag=f"g{depth}", depth=depth)
    (item,) = analyse(read([runs.folder]))
    assert before == [line.row.label for line in item.lines]
    assert before == ["gmvae, depth 1", "gmvae, depth 2", "lidgmvae, depth 1", "lidgmvae, depth 2"]


def test_an_unfinished_run_without_a_configuration_is_told_from_a_finished_one_by_its_folder(runs):
    runs.write("gmvae", 0)
    runs.place("gmvae", 1, "abcd1234")
    (runs.place("gmvae", 2, "abcd1234") / "config.yaml").write_text("half: [writ")
    (item,) = analyse(read([runs.folder]))
    assert set(lines(item)) == {"gmvae", "gmvae-pinwheel-realnvp-abcd1234"}
    assert item.notes == ["GMVAE (gmvae-pinwheel-realnvp-abcd1234): seeds 1-2 unfinished."]


def test_budgets_of_one_experiment_have_rows_and_seeds_of_their_own(runs):
    """Three seeds of five epochs are no missing seeds of the run of three epochs, nor its reference."""
    for epochs, seeds in ((3, [0]), (5, [0, 1, 2])):
        for model, ll in (("gmvae", -3.0), ("lidgmvae", -2.0)):
            for seed in seeds:
                runs.write(model, seed, ll - epochs, tag=f"e{epochs}", steps=10 * epochs)
                runs.configure(model, seed, tag=f"e{epochs}", trainer__max_epochs=epochs, trainer__devices=epochs)
    (item,) = analyse(read([runs.folder]))
    counts = {name: line.count for name, line in lines(item).items()}
    assert counts == {
        "gmvae, epochs 3": "1",
        "gmvae, epochs 5": "3",
        "lidgmvae, epochs 3": "1",
        "lidgmvae, epochs 5": "3",
    }
    assert item.notes == []
    assert [line.cells["ll"].difference for line in item.lines] == [None, -1.0, None, None]
    rows = runs_csv([item]).splitlines()
    assert len(rows) == 1 + 8
    assert not any("not run" in row for row in rows)


def test_each_configuration_expects_the_seeds_that_a_sweep_was_to_do(runs):
    runs.write("lidgmvae", 0, tag="a", depth=1)
    runs.write("lidgmvae", 0, tag="b", depth=2)
    runs.write("lidgmvae", 7, tag="b", depth=2)
    runs.expect(lidgmvae__a="0-2", lidgmvae__b="0", gmvae="0-1")
    (item,) = analyse(read([runs.folder]))
    assert {name: line.count for name, line in lines(item).items()} == {
        "gmvae": "0 of 2",
        "lidgmvae, depth 1": "1 of 3",
        "lidgmvae, depth 2": "2",
    }
    assert item.notes == ["GMVAE: seeds 0-1 not run.", "LIDGMVAE (depth 1): seeds 1-2 not run."]
    (item,) = analyse(read([runs.folder / "lidgmvae-pinwheel-realnvp-b"]))
    assert item.notes == [], "the report on a configuration tells of no other"


def test_an_unfinished_run_stands_in_the_table_of_its_training_set(runs):
    for size in (100, 200):
        runs.write("lidgmvae", 0, tag=f"l{size}", train_size=size)
        runs.configure("lidgmvae", 0, tag=f"l{size}", data__train_size=size)
        runs.configure("gmvae", 0, tag=f"g{size}", data__train_size=size)
    runs.configure("gmvae", 1, tag="g300", data__train_size=300)
    runs.configure("gmvae", 1, tag="s", data__train_size=100, samples=5)
    study = read([runs.folder])
    for table, size in zip(study.tables, (100, 200), strict=True):
        assert table.train_size == size
        assert [(row.label, row.place.name[-4:]) for row in table.rows] == [
            ("gmvae", f"g{size}"),
            ("lidgmvae", f"l{size}"),
        ]
    assert [note.partition(" holds no result: ")[2] for note in study.notes] == ["seed 1 unfinished."] * 2


@pytest.mark.parametrize("overrides", [["model=lidgmvae", "depth=3"], ["model=vae", "family=gaussian"]])
def test_a_configuration_says_what_its_result_says(tmp_path, overrides):
    outcome = Programs(tmp_path).train("trainer.max_epochs=1", *overrides)
    config = read_config(outcome.folder.parent)
    told = settings(config)
    assert told.pop("samples") == outcome.result["ll"]["samples"]
    assert told == {name: outcome.result[name] for name in told}


def test_an_option_that_an_earlier_run_did_not_have_stands_at_its_default(runs):
    """A run of the revision that gained it, and one before: told apart only where the later one chose another value."""
    prior = {"_target_": "lid_vae.prior.GaussianMixture", "size": 1.5}
    runs.configure("gmvae", 0, tag="a", prior=prior)
    runs.configure("gmvae", 0, tag="b", prior={**prior, "isotropic": False})
    runs.configure("gmvae", 0, tag="c", prior={**prior, "isotropic": True})
    first, same, other = (read_config(place) for place in sorted(runs.folder.glob("**/*-[abc]")))
    assert differences([first, same]) == [{}, {}]
    assert differences([first, other]) == [{"isotropic": False}, {"isotropic": True}]


@pytest.mark.parametrize("more", [{}, {"width": 16, "latent_dimension": 3, "batch": 5, "samples_of": 6}])
def test_one_thing_at_a_time_is_told_by_the_thing_that_each_run_changes(runs, more):
    """Five options differ in all, which no name tells; a run that itself changes so many bears its folder's."""
    changes = ({}, {"width": 16}, {"latent_dimension": 3}, {"categories": 50, "extra": True}, {"batch": 5}, more)
    for tag, change in zip("abcdef", changes if more else changes[:5], strict=False):
        usual = {"width": 8, "latent_dimension": 2, "categories": 10, "extra": False, "batch": 1, "samples_of": 2}
        runs.write("gmvae", 0, tag=tag)
        runs.configure("gmvae", 0, tag=tag, sizes={**usual, **change})
    (table,) = read([runs.folder]).tables
    labels = {row.place.name[-1]: row.label for row in table.rows}
    assert labels.pop("f", None) == ("gmvae-pinwheel-realnvp-f" if more else None)
    assert labels == {
        "a": "gmvae",
        "b": "gmvae, width 16",
        "c": "gmvae, latent_dimension 3",
        "d": "gmvae, extra True, categories 50",
        "e": "gmvae, batch 5",
    }


def test_options_that_differ_are_told_once(tmp_path):
    """A width reaches many parts, a choice many options, and where a run stood makes no difference."""
    one = {
        "width": 8,
        "map": {"width": 8, "kind": "a"},
        "posterior": {"x": 1},
        "choices": {"posterior": "p"},
        "seed": 0,
    }
    two = {"width": 9, "map": {"width": 9, "kind": "a"}, "posterior": None, "choices": {"posterior": None}, "seed": 1}
    three = {**one, "trainer": {"max_epochs": 3}, "encoder": {"_target_": "lid_vae.posterior.MLPEncoder"}}
    assert differences([one, two]) == [{"posterior": "p", "width": 8}, {"posterior": None, "width": 9}]
    assert differences([one, three])[1] == {"encoder": "MLPEncoder", "max_epochs": 3}
    linear, deep = ({**one, "map": {"network": {"_target_": f"lid_vae.map.{name}"}}} for name in ("LinearMap", "MLP"))
    deep["map"]["network"] |= {"width": 8, "hidden_layers": 2}
    assert differences([linear, deep]) == [{"network": "LinearMap"}, {"network": "MLP"}], "by its class"
    assert differences([one, {**one, "seed": 5, "paths": {"runs": "elsewhere"}}]) == [{}, {}]


def test_a_measure_that_one_run_lacks_is_left_out(runs):
    runs.write("gmvae", 0)
    runs.write("gmvae", 1, accuracy=None)
    runs.write("lidgmvae", 0)
    (item,) = analyse(read([runs.folder]))
    assert lines(item)["gmvae"].cells["accuracy"].summary is None
    assert lines(item)["lidgmvae"].cells["accuracy"].summary is not None


def test_splits_rulers_and_checkpoints_have_tables_of_their_own(runs):
    runs.write("gmvae", 0)
    runs.write("gmvae", 1)
    runs.write("gmvae", 0, file="evaluation-test-1.json", checkpoint="x/best.ckpt", samples=500)
    runs.write("gmvae", 0, file="evaluation-test-2.json", checkpoint="x/last.ckpt")
    runs.write("gmvae", 0, -50.0, file="evaluation-test-3.json", checkpoint="x/best.ckpt")
    runs.write("gmvae", 0, file="evaluation-valid-1.json", split="valid")
    tables = read([runs.folder]).tables
    assert [(table.split, table.checkpoint, table.samples) for table in tables] == [
        ("test", "best.ckpt", 100),
        ("test", "best.ckpt", 500),
        ("test", "last.ckpt", 100),
        ("valid", "best.ckpt", 100),
    ]
    assert tables[0].rows[0].results[0]["ll"]["mean"] == -2.0, "the run's own result wins over a later evaluation"


def test_a_result_that_is_being_replaced_is_passed_over(runs):
    runs.write("gmvae", 0, -2.0)
    old = runs.write("gmvae", 1, -9.0).parent
    old.rename(old.with_name("seed-1.superseded"))
    runs.place("gmvae", 1)
    (item,) = analyse(read([runs.folder]))
    assert item.lines[0].cells["ll"].summary.mean == -2.0
    assert item.notes == ["GMVAE: seed 1 unfinished."]


def test_rows_of_one_model_are_told_apart_and_find_their_reference(runs):
    for depth in (1, 2):
        for seed in (0, 1):
            runs.write("gmvae", seed, -depth, tag=f"g{depth}", depth=depth)
            runs.write("lidgmvae", seed, -depth - 1, tag=f"l{depth}", depth=depth)
    (item,) = analyse(read([runs.folder]))
    assert list(lines(item)) == ["gmvae, depth 1", "gmvae, depth 2", "lidgmvae, depth 1", "lidgmvae, depth 2"]
    assert [line.cells["ll"].difference for line in item.lines] == [1.0, 1.0, None, None]
    assert all(line.cells["ll"].paper is None for line in item.lines), "the paper's decoder has one depth"


def test_rows_have_names_for_readers(runs):
    """The name of the literature, and what differs; of a beta-VAE the beta alone."""
    for model, beta in (("beta_vae", 0.2), ("beta_vae", 0.5), ("lidgmvae", 1.0)):
        runs.write(model, 0, tag=str(beta))
        runs.configure(model, 0, tag=str(beta), objective={"beta": beta})
    for depth in (1, 2):
        runs.write("gmvae", 0, tag=str(depth), depth=depth)
    (item,) = analyse(read([runs.folder]))
    titles = [line.row.title for line in item.lines]
    assert titles == ["GMVAE (depth 1)", "GMVAE (depth 2)", "beta-VAE (0.2)", "beta-VAE (0.5)", "LIDGMVAE"]
    assert [line.row.label for line in item.lines][2:] == ["beta_vae, beta 0.2", "beta_vae, beta 0.5", "lidgmvae"]


def test_runs_that_differ_in_their_map_alone_have_rows_of_their_own(runs):
    """A linear map has no depth: what tells the rows apart is the map."""
    for seed in (0, 1):
        runs.write("svae", seed, -4.0, map="mlp", depth=2, hidden_layers=1)
        runs.write("svae", seed, -3.0, tag="l", map="linear", depth=None, hidden_layers=None)
        runs.write("lidsvae", seed, -2.0, map="brenier", depth=2, hidden_layers=1)
    (item,) = analyse(read([runs.folder]))
    assert [line.row.label for line in item.lines] == ["svae, map linear", "svae, map mlp", "lidsvae"]
    assert [line.cells["ll"].summary.mean for line in item.lines] == [-3.0, -4.0, -2.0]
    assert [line.cells["ll"].difference for line in item.lines] == [-1.0, -2.0, None]


def test_refused_an_empty_folder_and_one_of_damaged_files(tmp_path, runs):
    with pytest.raises(UserError, match="is no folder"):
        read([tmp_path / "absent"])
    runs.folder.mkdir()
    with pytest.raises(UserError, match=r"holds no result\.json"):
        read([runs.folder])
    runs.write("gmvae", 0).write_text('{"split": "te')
    with pytest.raises(UserError, match=r"1 runs there are begun.*result\.json is half-written"):
        read([runs.folder])


def test_the_search_chooses_by_the_validation_bound_alone(new_runs):
    """The rate with the best test numbers has the worse validation bound, and is not chosen."""
    runs = new_runs("table_search")
    bounds = {("gmvae", 0.001): (-5.0, -5.0), ("gmvae", 0.003): (-2.0, -3.0), ("gmvae", 0.01): (-1.0, -6.0)}
    bounds |= {("lidgmvae", 0.001): (-3.0, -3.0), ("lidgmvae", 0.003): (-4.0, -2.0), ("lidgmvae", 0.01): (-1.0,)}
    for (model, rate), values in bounds.items():
        for seed, bound in enumerate(values, start=100):
            given = {"learning_rate": rate, "validation": {"elbo": bound}}
            runs.write(model, seed, 100 * rate, tag=str(rate), **given)
    (item,) = analyse(read([runs.folder]))
    assert chosen_rates(item.table.rows) == {"gmvae": 0.003, "lidgmvae": 0.001}, "of equal means the smaller rate"
    assert [measure.key for measure in item.measures] == ["bound", "ms"], "no test number is shown"
    assert lines(item)["gmvae, rate 0.003"].cells["bound"].summary.mean == -2.5
    text = " ".join(item.choices)
    assert "no test data: gmvae: 0.003; lidgmvae: 0.001." in text
    assert "lidgmvae: 0.001 is at the edge of its grid" in text
    assert "lidgmvae: not eligible, as a seed is missing: 0.01." in text
