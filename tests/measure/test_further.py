"""Further measures: they share the draws of all others or see the whole split; results and reports know them."""

from pathlib import Path

import pytest
import torch
from builders import COMBINATIONS, data, make_vae, ppca_vae
from runs import TINY, Programs

from lid_vae.classical.ppca import PPCA, fit
from lid_vae.data.split import Batch
from lid_vae.errors import UserError
from lid_vae.measure import AIS, Distortion, Evaluator, Subject
from lid_vae.noise import generator
from lid_vae.report.numbers.measures import columns
from lid_vae.run.build import build_measures
from lid_vae.shown import CORE, logged, numbers_of
from lid_vae.vae import Autoencoder


def encode(vae: Autoencoder):
    """The encoder's q, whatever the noise."""
    return lambda x, noise: vae.posterior.distribution(vae.posterior.encode(x))


def subject(vae: Autoencoder, folder: Path, *batches: torch.Tensor, samples: int = 4) -> Subject:
    split = [Batch(x, None, torch.arange(len(x))) for x in batches]
    return Subject(vae, encode(vae), 1, lambda: split, samples, torch.device("cpu"), folder)


@pytest.mark.parametrize(("prior", "mixture", "family"), COMBINATIONS)
def test_the_bound_is_distortion_and_rate(prior, mixture, family) -> None:
    """On the same draws, exactly, where the KL has no closed form and is their average too."""
    vae = make_vae(prior, mixture, family)
    x = data(vae, 40)
    evaluator = Evaluator(vae, encode(vae), 6, with_w=False, further={"distortion": Distortion()})
    evaluator.update(x)
    found = evaluator.compute()
    rate = -found["elbo"] - found["distortion"]["mean"]
    q = encode(vae)(x, None)
    exact = vae.terms(x, q, vae.posterior.draw_noise(1, 40, generator("a"))).kl is not None
    assert rate == pytest.approx(float(evaluator.joint_kl.compute()), **({"abs": 1.0} if exact else {"rel": 1e-9}))
    assert found["distortion"]["se"] > 0


def test_ais_encloses_ppcas_likelihood(tmp_path) -> None:
    """Known on the split and of simulated examples; 4 standard errors."""
    model = fit(
        PPCA(torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.7, 0.7]]).double(), 0.5, torch.zeros(3).double()).sample(
            300, generator("t")
        ),
        2,
    )
    vae = ppca_vae(model)
    x = model.sample(50, generator("x"))
    found = AIS(examples=40, simulated=30, steps=50, chains=4).measure(
        subject(vae, tmp_path, x[:30], x[30:], samples=20)
    )
    exact = float(model.log_likelihood(x[:40]).mean())
    assert found["examples"] == 40
    assert found["lower"] == pytest.approx(exact, abs=0.05)
    assert found["importance"] == pytest.approx(exact, abs=0.05)
    assert abs(found["missed"]) <= 4 * found["missed_se"] + 1e-6
    assert found["simulated"]["width"] >= -4 * found["simulated"]["width_se"] - 1e-6
    assert found["simulated"]["width"] < 0.02
    assert list(tmp_path.iterdir()) == [], "what was kept is not needed any more"


def test_an_interrupted_ais_goes_on(tmp_path, monkeypatch) -> None:
    vae = make_vae("gaussian", "conditional", "gaussian")
    own = subject(vae, tmp_path, data(vae, 30))
    measure = AIS(examples=None, simulated=0, steps=5, chains=2, rows=20)
    whole = measure.measure(own)
    monkeypatch.setattr("lid_vae.measure.ais._keep", _stop)
    with pytest.raises(KeyboardInterrupt):
        measure.measure(own)
    monkeypatch.undo()
    assert len(list(tmp_path.glob(".ais-split-*.part"))) == 1
    assert measure.measure(own) == whole


def _stop(path, bounds):
    torch.save(bounds.state_dict(), path)
    raise KeyboardInterrupt


@pytest.mark.parametrize("options", [{"examples": 0}, {"simulated": -1}, {"steps": -1}, {"schedule": "cubic"}])
def test_settings_out_of_range_are_refused(options) -> None:
    with pytest.raises(UserError):
        AIS(**options)


def test_what_is_no_measure_is_refused() -> None:
    recipe = {"_target_": "lid_vae.metrics.ExampleMean", "shown": []}
    with pytest.raises(UserError, match=r"measures\.x is ExampleMean, and a measure is a DrawMeasure"):
        build_measures({"x": recipe})


def test_errors_and_upper_bounds_are_logged_beside_their_values() -> None:
    z = {"au": 1.0, "kl": 1.5, "mi": 1.2, "mi_se": 0.1, "mi_upper": 1.3}
    result = {"elbo": -2.0, "elbo_se": 0.1, "ll": {"mean": -1.9, "se": 0.2}, "latent": {"z": z}, "own": {"mean": 3}}
    further = numbers_of({"own": {"shown": [{"key": "own", "at": "own.mean", "title": "own", "curve": "own"}]}})
    found = logged(result, "test", (*CORE, *further))
    assert found["test/mutual_information"] == 1.2
    assert (found["test/mutual_information_se"], found["test/mutual_information_upper"]) == (0.1, 1.3)
    assert found["test/own"] == 3
    assert "test/accuracy" not in found


def test_a_run_and_its_evaluation_have_them_and_tables_too(tmp_path) -> None:
    programs = Programs(tmp_path)
    small = ("measures.ais.examples=20", "measures.ais.simulated=5", "measures.ais.steps=3", "measures.ais.chains=2")
    run = programs.train(tiny=("model=lidgmvae", "measures=[distortion,ais]", *small, *TINY))
    assert set(run.result["validation"]["distortion"]) == {"mean", "se"}
    assert run.result["ais"]["simulated"]["examples"] == 5
    again = programs.evaluate(run.folder / "checkpoints" / "best.ckpt", "measures=[distortion,ais]", *small)
    assert again.result["distortion"] == run.result["distortion"]
    assert again.result["ais"]["lower"] == pytest.approx(run.result["ais"]["lower"], rel=1e-6)
    plain = programs.train(tiny=("model=lidgmvae", *TINY))
    assert "Finished before" in plain.out, "a measure makes no other run of it"
    read = {column.key: column.read(run.result) for column in columns()}
    assert read["distortion"] == run.result["distortion"]["mean"]
    assert read["ais_width"] == run.result["ais"]["simulated"]["width"]


def test_a_measure_that_cannot_serve_is_refused_before_training(tmp_path) -> None:
    refused = Programs(tmp_path).train("model=lidmvae", "prior.component=bernoulli", "measures=ais")
    assert "binary" in refused.paragraph
    assert not list(tmp_path.rglob("*.ckpt"))
