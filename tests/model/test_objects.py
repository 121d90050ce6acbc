"""Models as objects: what is built, trained, asked, saved and loaded agrees with the programs and with itself."""

from math import log

import pytest
import torch
from runs import Programs

import lid_vae
from lid_vae import GMVAE, LIDGMVAE, LIDVAE, SVAE, VAE, UserError
from lid_vae.data import Digits
from lid_vae.map.base import InjectiveMap
from lid_vae.model.compose import built_of

SMALL = {"width": 8, "latent_dimension": 2, "hidden_layers": 1}
QUIET = {"max_epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def points():
    rng = torch.Generator().manual_seed(0)
    return torch.randn(200, 2, generator=rng) @ torch.randn(2, 5, generator=rng) * 10 + 3


@pytest.fixture(scope="module")
def pictures():
    return torch.rand(60, 6, 4, generator=torch.Generator().manual_seed(1)).round()


@pytest.fixture(scope="module")
def trained(points):
    return VAE.build(points, **SMALL).fit(points, **QUIET)


@pytest.fixture(scope="module")
def mixture(pictures):
    return LIDGMVAE.build(pictures, likelihood="bernoulli", categories=3, **SMALL).fit(**QUIET)


class TestTraining:
    def test_it_is_that_of_the_program_to_the_last_bit(self, tmp_path):
        words = ["data=pinwheel", "data.per_class=40", "data.valid_size=50", "data.test_size=60", "width=8"]
        words += ["model=gmvae", "trainer.max_epochs=2", "trainer.check_val_every_n_epoch=1", "seed=3"]
        run = Programs(tmp_path).train(*words, "samples=4", "logger=none", tiny=())
        model = lid_vae.build(words).fit(progress=False)
        other = lid_vae.load(run.folder / "checkpoints" / "best.ckpt")
        assert model.step == other.step
        for name, value in other.state_dict().items():
            assert torch.equal(model.state_dict()[name], value), name

    def test_the_best_weights_are_kept(self, points):
        model = VAE.build(points, optimizer={"lr": 0.1}, **SMALL)
        bounds = []

        class Bounds(lid_vae.model.fit.pl.Callback):
            def on_validation_end(self, trainer, module):
                bounds.append((float(trainer.callback_metrics["valid/bound"]), module.step))

        model.fit(points, max_epochs=10, callbacks=[Bounds()], progress=False)
        assert len(bounds) == 10
        assert model.step == max(bounds)[1]
        assert not model.training

    def test_presets_do_in_it_what_they_do_in_a_run(self, points):
        words = ["model=il_lidvae", "callbacks=lipschitz_annealing", "data.per_class=20", "data.valid_size=20"]
        model = lid_vae.build([*words, "data.test_size=20", "width=8"])
        before = model.vae.likelihood.map.certificate()
        model.fit(max_epochs=3, progress=False)
        assert model.vae.likelihood.map.certificate() != before  # annealed, then restored with the best weights

    def test_labels_and_validation_of_ones_own(self, points):
        y = torch.arange(200) % 4
        model = GMVAE.build(points, y, categories=4, **SMALL)
        assert model.labels == 4
        model.fit(points[:150], valid=points[150:], **QUIET)

    def test_seeds(self, points):
        first, again, other = (
            VAE.build(points, seed=seed, **SMALL).fit(max_epochs=1, progress=False) for seed in (1, 1, 2)
        )
        assert torch.equal(first.encode(points).mean, again.encode(points).mean)
        assert not torch.equal(first.encode(points).mean, other.encode(points).mean)


class TestAsking:
    def test_a_gaussian_posterior_has_its_mean_exactly(self, points):
        model = VAE.build(points, family="gaussian", **SMALL)
        q = model.encode(points)
        parameters = model.vae.posterior.encode(model.prepare(points))
        torch.testing.assert_close(q.mean, parameters["mean"][0].detach())
        draws = q.sample(4000, seed=0)
        assert float((draws.mean(0) - q.mean).abs().max()) < 0.1
        torch.testing.assert_close(q.std, draws.std(0), rtol=0.3, atol=0.02)
        assert q.category is None

    @pytest.mark.parametrize("how", ["conditional", "enumerate"])
    def test_draws_of_a_mixture_are_those_of_its_categories(self, points, how):
        model = GMVAE.build(points, categories=3, family={"mixture": how}, **SMALL)
        q = model.encode(points)
        torch.testing.assert_close(q.category_probability.sum(-1), torch.ones(200))
        assert q.category.shape == (200,)
        draws = q.sample(3000, seed=1)
        assert draws.shape == (3000, 200, 2)
        error = draws.std(0) / 3000**0.5
        # the mean itself is over 32 draws where there is a flow, and within a category where these are enumerated
        assert float(((draws.mean(0) - q.mean).abs() / (error + draws.std(0) / 32**0.5)).max()) < 6

    def test_draws_follow_from_their_seed(self, trained, points):
        q = trained.encode(points)
        assert torch.equal(q.sample(3, seed=5), q.sample(3, seed=5))
        assert not torch.equal(q.sample(3), q.sample(3))
        assert torch.equal(trained.sample(4, seed=5), trained.sample(4, seed=5))
        torch.manual_seed(7)
        first = trained.sample(4)
        torch.manual_seed(7)
        assert torch.equal(trained.sample(4), first)

    def test_shapes(self, mixture, pictures):
        assert mixture.decode(torch.zeros(3, 5, 2)).shape == (3, 5, 6, 4)
        assert mixture.reconstruct(pictures).shape == pictures.shape
        assert mixture.reconstruct(pictures.numpy()).shape == pictures.shape
        assert torch.equal(mixture.encode(pictures.flatten(1)).mean, mixture.encode(pictures).mean)
        assert mixture.sample(7).shape == (7, 6, 4)
        assert set(mixture.sample(7).unique().tolist()) <= {0.0, 1.0}
        assert mixture.interpolate(pictures[0], pictures[1], steps=5).shape == (5, 6, 4)
        assert mixture.log_likelihood(pictures, samples=3).shape == (60,)

    def test_ends_of_an_interpolation_are_reconstructions(self, points):
        model = VAE.build(points, family="gaussian", **SMALL)
        path = model.interpolate(points[0], points[1])
        torch.testing.assert_close(path[[0, -1]], model.reconstruct(points[:2]))

    def test_draws_of_a_category_are_of_its_component(self, mixture):
        with torch.no_grad():
            components = mixture.vae.prior().components
        for category in range(3):
            torch.manual_seed(category)
            pixels = mixture.sample(4000, category=category, mean=True).flatten(1).mean(0)
            w = components.sample(torch.full((4000,), category), torch.Generator().manual_seed(9))
            direct = mixture.decode(w.detach()).flatten(1).mean(0)
            torch.testing.assert_close(pixels, direct, atol=0.03, rtol=0)

    def test_likelihoods_agree_with_the_diagnosis(self, trained, points):
        values = trained.log_likelihood(points, samples=200)
        units = trained.log_likelihood(points[:1], 1, 0) - 0  # a draw: any number
        assert units.isfinite().all()
        report = trained.diagnose(points, samples=200)
        in_own_units = report.ll.value - float(points[:180].std(0, correction=0).log().sum())
        assert abs(float(values.mean()) - in_own_units) < 0.3
        assert float(trained.log_likelihood(points, 200).mean()) > float(trained.log_likelihood(points, 1).mean())

    def test_units(self, points):
        """Scaled data give the same model, whose answers are scaled, and a density that is too."""
        scale, shift = 16.0, 4.0
        plain = VAE.build(points, **SMALL)
        scaled = VAE.build(points * scale + shift, **SMALL)
        moved = points * scale + shift
        torch.testing.assert_close(scaled.encode(moved).mean, plain.encode(points).mean, atol=1e-4, rtol=0)
        w = torch.randn(6, 2)
        torch.testing.assert_close(scaled.decode(w), plain.decode(w) * scale + shift, atol=1e-2, rtol=1e-4)
        difference = scaled.log_likelihood(moved) - plain.log_likelihood(points)
        torch.testing.assert_close(difference, torch.full((200,), -5 * log(scale)), atol=1e-2, rtol=0)

    def test_the_mode_is_left_as_it_was(self, trained, points):
        trained.train()
        trained.encode(points)
        assert trained.training
        trained.eval()
        trained.encode(points)
        assert not trained.training

    def test_an_inference_by_gradients_is_asked_the_same(self, points):
        model = GMVAE.build(points, categories=3, inference="semi_amortized", **SMALL)
        assert model.encode(points[:20]).mean.shape == (20, 2)
        assert model.log_likelihood(points[:20], 5).isfinite().all()
        assert all(p.grad is None for p in model.parameters())

    def test_a_loop_of_ones_own(self, points):
        model = LIDVAE.build(points, **SMALL)
        assert isinstance(model.vae.likelihood.map, InjectiveMap)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        torch.manual_seed(0)
        losses = []
        for _ in range(60):
            optimizer.zero_grad()
            loss = model.loss(points)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


SENTENCES = ["the cat sees the dog", "a dog barks", "the cat sleeps"] * 20


class TestText:
    @pytest.fixture(scope="module")
    @staticmethod
    def model():
        return SVAE.build(SENTENCES, width=8, latent_dimension=2).fit(max_epochs=1, progress=False)

    def test_sentences_in_and_out(self, model):
        some = SENTENCES[:3]
        assert model.encode(some).mean.shape == (3, 2)
        for said in (model.reconstruct(some), model.sample(3), model.interpolate(some[0], some[1], steps=3)):
            assert len(said) == 3
            assert all(isinstance(sentence, str) for sentence in said)
        assert model.reconstruct(some, how="beam") == model.reconstruct(some, how="beam")
        assert model.log_likelihood(some, 5).shape == (3,)

    def test_a_saved_one_knows_its_words(self, model, tmp_path):
        model.save(tmp_path / "text.ckpt")
        again = lid_vae.load(tmp_path / "text.ckpt")
        assert again.reconstruct(SENTENCES) == model.reconstruct(SENTENCES)
        again.fit(SENTENCES, max_epochs=1, progress=False)

    def test_bad_input(self, model):
        with pytest.raises(UserError, match='"zebra" in "the zebra" is not in the vocabulary'):
            model.encode(["the zebra"])
        with pytest.raises(UserError, match="give a list of sentences"):
            model.encode("the cat")
        with pytest.raises(UserError, match="one of sentences"):
            model.encode(torch.rand(3, 4))
        with pytest.raises(UserError, match="how=loud is not known"):
            model.sample(2, how="loud")


class TestFiles:
    def test_a_saved_model_is_loaded_as_it_was(self, mixture, pictures, tmp_path):
        mixture.save(tmp_path / "model.ckpt")
        for again in (lid_vae.load(tmp_path / "model.ckpt"), LIDGMVAE.load_from_checkpoint(tmp_path / "model.ckpt")):
            assert type(again) is LIDGMVAE
            assert not again.training
            assert torch.equal(again.encode(pictures).mean, mixture.encode(pictures).mean)
            assert torch.equal(again.log_likelihood(pictures, 4), mixture.log_likelihood(pictures, 4))
            assert torch.equal(again.sample(3, seed=2), mixture.sample(3, seed=2))
        again.fit(pictures, max_epochs=1, progress=False)

    def test_units_travel(self, trained, points, tmp_path):
        trained.save(tmp_path / "model.ckpt")
        again = lid_vae.load(tmp_path / "model.ckpt")
        assert torch.equal(again.reconstruct(points), trained.reconstruct(points))

    def test_evaluate_measures_a_model_of_data_by_name(self, tmp_path):
        words = ["data=pinwheel", "data.per_class=40", "data.valid_size=50", "data.test_size=60", "width=8"]
        lid_vae.build([*words, "model=vae", "samples=4"]).fit(**QUIET).save(tmp_path / "model.ckpt")
        evaluated = Programs(tmp_path).evaluate(tmp_path / "model.ckpt")
        assert evaluated.result["ll"]["samples"] == 4

    def test_evaluate_says_where_data_in_memory_are_measured(self, mixture, tmp_path):
        mixture.save(tmp_path / "model.ckpt")
        assert "lid_vae.load(" in Programs(tmp_path).evaluate(tmp_path / "model.ckpt").paragraph

    def test_a_file_of_another_class(self, mixture, tmp_path):
        mixture.save(tmp_path / "model.ckpt")
        with pytest.raises(UserError, match="holds a LIDGMVAE, not a VAE"):
            VAE.load_from_checkpoint(tmp_path / "model.ckpt")

    def test_what_is_no_checkpoint(self, tmp_path):
        (tmp_path / "some.ckpt").write_text("no")
        with pytest.raises(UserError, match="no checkpoint"):
            lid_vae.load(tmp_path / "some.ckpt")
        with pytest.raises(UserError, match="trust is a list"):
            lid_vae.load(tmp_path / "some.ckpt", trust="mine")

    def test_a_model_built_by_hand_says_how_it_can_be_saved(self, tmp_path, trained):
        by_hand = VAE(
            trained.vae, trained.objective, trained.inference, trained.make_optimizer, trained.schedule, seed=0
        )
        with pytest.raises(UserError, match="built by hand"):
            by_hand.save(tmp_path / "model.ckpt")


REFUSED = [
    ({"widht": 8}, "There is no option widht. Did you mean width"),
    ({"likelihood": "bernouli"}, "Did you mean likelihood=bernoulli"),
    ({"latent_dimension": 7}, "exceeds the 5 dimensions"),
    ({"width": 0}, "width=0 must be a whole number"),
    ({"map": {"depht": 3}}, "Did you mean map.depth"),
    ({"likelihood": "bernoulli"}, "needs values in"),
    ({"map": "brenier", "latent_dimension": None}, "latent_dimension"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=[str(options) for options, _ in REFUSED])
def test_options_that_do_not_fit(points, options, message):
    with pytest.raises(UserError, match=message):
        VAE.build(points, **options)


def test_promises_hold_here_too(points):
    with pytest.raises(UserError, match="LIDVAE needs an injective map"):
        LIDVAE.build(points, map="mlp", latent_dimension=2)


BAD = [
    (torch.rand(4, 3), r"shape \[4, 3\], and the model is one of vectors of 5 numbers"),
    (torch.rand(5), r"x\[None\]"),
    (torch.full((3, 5), float("nan")), "NaN"),
    (["a sentence"], "These are sentences"),
    (torch.rand(0, 5), "no examples"),
]


@pytest.mark.parametrize(("x", "message"), BAD, ids=range(len(BAD)))
def test_examples_that_do_not_fit(trained, x, message):
    with pytest.raises(UserError, match=message):
        trained.encode(x)


def test_questions_that_have_no_answer(trained, mixture, points):
    with pytest.raises(UserError, match="no categories"):
        trained.sample(3, category=1)
    with pytest.raises(UserError, match="none of the 3"):
        mixture.sample(3, category=3)
    with pytest.raises(UserError, match="2 latent dimensions"):
        trained.decode(torch.zeros(4, 3))
    with pytest.raises(UserError, match="steps=1"):
        trained.interpolate(points[0], points[1], steps=1)
    with pytest.raises(UserError, match="one example at each end"):
        trained.interpolate(points[:2], points[1])
    with pytest.raises(UserError, match="samples=0"):
        trained.log_likelihood(points, 0)


def test_bernoulli_values_out_of_range(mixture):
    with pytest.raises(UserError, match="Divide bytes by 255"):
        mixture.encode(torch.full((2, 6, 4), 3.0))


def test_bytes_are_grey_levels(pictures):
    model = VAE.build((pictures * 255).to(torch.uint8), likelihood="bernoulli", **SMALL)
    torch.testing.assert_close(model.encode((pictures * 255).to(torch.uint8)).mean, model.encode(pictures).mean)


def test_options_of_the_data():
    grey = torch.rand(80, 6, 4, generator=torch.Generator().manual_seed(3))
    model = VAE.build(grey, likelihood="bernoulli", data={"binarise": "dynamic"}, **SMALL)
    assert built_of(model).binary
    again = VAE.build(grey, likelihood="bernoulli", data={"binarise": "dynamic"}, **SMALL)
    for one, x in ((model, grey), (again, None)):
        one.fit(x, **QUIET)
    assert torch.equal(model.encode(grey).mean, again.encode(grey).mean)
    assert not built_of(VAE.build(grey, likelihood="bernoulli", **SMALL)).binary
    kept = VAE.build(grey.flatten(1), data={"standardise": False}, **SMALL)
    assert kept.description["standardisation"] is None
    for asked, message in (("digits", "goes with x in memory"), ({"binarize": True}, "is not understood")):
        with pytest.raises(UserError, match=message):
            VAE.build(grey, data=asked, **SMALL)


class Table:
    """As Hugging Face's: columns by name."""

    def __init__(self, **columns):
        self.columns, self.column_names = columns, list(columns)

    def __len__(self):
        return len(next(iter(self.columns.values())))

    def __getitem__(self, name):
        return self.columns[name]


class Frame:
    """As pandas': what becomes an array when asked to."""

    def __init__(self, x):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return self.x

    def to_numpy(self):
        return self.x


def test_tables_and_frames(points):
    x = points.numpy()
    for given in (Table(x=x.tolist(), label=[k % 3 for k in range(200)]), Frame(x)):
        model = VAE.build(given, **SMALL)
        torch.testing.assert_close(model.encode(given).mean, model.encode(points).mean)
        assert model.labels == (3 if isinstance(given, Table) else None)


def test_data_that_are_none():
    for x, message in ((None, "is no data"), ("digits", r"lid_vae\.build\(\[\"data=digits\"\]\)")):
        with pytest.raises(UserError, match=message):
            VAE.build(x)


def test_a_data_module_is_taken_as_it_is():
    data = Digits(train_size=100, valid_size=50, test_size=50)
    model = VAE.build(data, **SMALL).fit(max_epochs=1, progress=False)
    report = model.diagnose(data, samples=5)
    assert report.ll.value < 0
    with pytest.raises(UserError, match="leave y= and valid= out"):
        model.fit(data, y=torch.zeros(100))


def test_without_data_to_train_on(mixture, tmp_path):
    mixture.save(tmp_path / "model.ckpt")
    with pytest.raises(UserError, match="not built here"):
        lid_vae.load(tmp_path / "model.ckpt").fit()
