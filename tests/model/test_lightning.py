"""Models under a Trainer of one's own: ordinary loaders, test, predict, checkpoints, limits of time."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

import lid_vae
from lid_vae import GMVAE, VAE, UserError

OPTIONS = {"width": 8, "latent_dimension": 2, "hidden_layers": 1}


def trainer(folder, **options):
    settings = {
        "max_epochs": 2,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "accelerator": "cpu",
        "default_root_dir": folder,
    }
    return pl.Trainer(**{**settings, **options})


class Dictionaries(Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"x": self.x[index], "label": index % 3}


@pytest.fixture(scope="module")
def points():
    return torch.randn(96, 4, generator=torch.Generator().manual_seed(0))


def loaders_of(x):
    return {
        "tensors": DataLoader(x, batch_size=32),
        "tuples": DataLoader(TensorDataset(x, torch.arange(len(x)) % 3), batch_size=32),
        "dictionaries": DataLoader(Dictionaries(x), batch_size=32),
    }


@pytest.fixture
def quiet():
    """Lightning's advice on the number of a loader's workers."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*logging interval.*")
        warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")
        warnings.filterwarnings("ignore", ".*callbacks used to create the checkpoint.*")
        yield


@pytest.mark.usefixtures("quiet")
class TestOrdinaryLoaders:
    def test_they_are_all_one_training(self, tmp_path, points):
        weights = []
        for loader in loaders_of(points).values():
            model = VAE.build(points, **OPTIONS)
            trainer(tmp_path).fit(model, loader, loader)
            weights.append(model.vae.state_dict())
        for name, value in weights[0].items():
            assert all(torch.equal(other[name], value) for other in weights[1:]), name

    def test_validation_shows_what_ours_does(self, tmp_path, points):
        model = GMVAE.build(points, torch.arange(96) % 3, categories=3, **OPTIONS)
        run = trainer(tmp_path)
        loader = loaders_of(points)["tuples"]
        run.fit(model, loader, loader)
        assert {"valid/bound", "valid/active_units", "valid/mutual_information"} <= set(run.callback_metrics)
        assert model.members[0].metrics["valid/accuracy"] > 0

    def test_without_validation(self, tmp_path, points):
        model = VAE.build(points, **OPTIONS)
        before = model.encode(points).mean
        trainer(tmp_path).fit(model, loaders_of(points)["tensors"])
        assert not torch.equal(model.encode(points).mean, before)

    def test_the_statistics_of_a_posterior_are_taken_at_the_end(self, tmp_path, points):
        model = VAE.build(points, normalization="batch_norm", family="gaussian", **OPTIONS)
        trainer(tmp_path).fit(model, loaders_of(points)["tensors"])
        assert model.log_likelihood(points, 5).isfinite().all()

    def test_an_inner_loop_draws_its_batches(self, tmp_path, points):
        model = GMVAE.build(points, categories=3, inference="aggressive", **OPTIONS)
        loader = loaders_of(points)["tensors"]
        trainer(tmp_path, inference_mode=False).fit(model, loader, loader)
        assert model.step == 6

    def test_test_measures_what_the_diagnosis_does(self, tmp_path, points):
        model = VAE.build(points, **OPTIONS)
        (found,) = trainer(tmp_path).test(model, DataLoader(points, batch_size=500), verbose=False)
        report = model.diagnose(points, samples=100)
        assert found["test/log_likelihood"] == pytest.approx(report.ll.value, rel=1e-5)
        assert found["test/kl"] == pytest.approx(report.kl.value, rel=0.05)

    def test_predict_gives_posterior_means(self, tmp_path, points):
        model = VAE.build(points, family="gaussian", **OPTIONS)
        found = trainer(tmp_path).predict(model, loaders_of(points)["dictionaries"])
        torch.testing.assert_close(torch.cat(found), model.encode(points).mean)

    def test_a_data_module_of_ones_own(self, tmp_path, points):
        class Own(pl.LightningDataModule):
            def train_dataloader(self):
                return DataLoader(points, batch_size=32)

            def val_dataloader(self):
                return DataLoader(points[:40], batch_size=32)

        trainer(tmp_path).fit(VAE.build(points, **OPTIONS), datamodule=Own())

    def test_sentences(self, tmp_path):
        sentences = ["a dog barks", "the cat sleeps", "a cat sees"] * 8
        model = lid_vae.SVAE.build(sentences, width=8, latent_dimension=2)
        loader = DataLoader(sentences, batch_size=8)
        trainer(tmp_path, max_epochs=1).fit(model, loader, loader)
        assert model.step == 3


@pytest.mark.usefixtures("quiet")
class TestCheckpoints:
    def test_lightnings_own_are_loaded(self, tmp_path, points):
        model = VAE.build(points, **OPTIONS)
        keeper = pl.callbacks.ModelCheckpoint(tmp_path, "{epoch}", monitor="valid/bound", mode="max")
        loader = loaders_of(points)["tensors"]
        trainer(tmp_path, callbacks=[keeper], enable_checkpointing=True).fit(model, loader, loader)
        for again in (
            lid_vae.load(keeper.best_model_path),
            VAE.load_from_checkpoint(keeper.best_model_path),
            VAE.load_from_checkpoint(keeper.best_model_path, map_location="cpu"),
        ):
            assert again.step > 0
            assert again.sample(2).shape == (2, 4)

    def test_a_training_goes_on_from_one(self, tmp_path, points):
        loader = loaders_of(points)["tensors"]
        whole = VAE.build(points, **OPTIONS)
        trainer(tmp_path, max_epochs=4).fit(whole, loader, loader)
        keeper = pl.callbacks.ModelCheckpoint(tmp_path, "half", every_n_epochs=2, save_top_k=-1)
        trainer(tmp_path, max_epochs=4, callbacks=[keeper], enable_checkpointing=True, limit_train_batches=3).fit(
            VAE.build(points, **OPTIONS), loader, loader
        )
        half = sorted(tmp_path.glob("half*.ckpt"))[0]
        rest = VAE.build(points, **OPTIONS)
        trainer(tmp_path, max_epochs=4).fit(rest, loader, loader, ckpt_path=half)
        for name, value in whole.vae.state_dict().items():
            assert torch.equal(rest.vae.state_dict()[name], value), name


@pytest.mark.usefixtures("quiet")
class TestLimits:
    def test_of_time(self, tmp_path, points):
        run = trainer(tmp_path, max_epochs=100_000, max_time={"seconds": 1})
        run.fit(VAE.build(points, **OPTIONS), loaders_of(points)["tensors"])
        assert run.current_epoch < 100_000

    def test_none_at_all_is_refused(self, tmp_path, points):
        with pytest.raises(UserError, match="max_epochs or max_steps"):
            trainer(tmp_path, max_epochs=-1).fit(VAE.build(points, **OPTIONS), loaders_of(points)["tensors"])

    def test_inference_mode_is_refused_where_q_takes_gradients(self, tmp_path, points):
        model = GMVAE.build(points, categories=3, inference="semi_amortized", **OPTIONS)
        loader = loaders_of(points)["tensors"]
        with pytest.raises(UserError, match="inference_mode=False"):
            trainer(tmp_path).test(model, loader, verbose=False)
        assert trainer(tmp_path, inference_mode=False).test(model, loader, verbose=False)
        again = GMVAE.build(points, categories=3, inference="semi_amortized", **OPTIONS)
        trainer(tmp_path, max_epochs=1).fit(again, loader, loader)  # validates with gradients


def test_the_trainer_of_the_other_import_says_which_to_use(tmp_path, points):
    other = pytest.importorskip("lightning.pytorch", exc_type=ImportError)
    with pytest.raises(TypeError, match="pytorch_lightning"):
        other.Trainer(logger=False, accelerator="cpu", default_root_dir=tmp_path).fit(
            VAE.build(points, **OPTIONS), DataLoader(points)
        )
