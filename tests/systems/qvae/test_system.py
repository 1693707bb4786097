"""The qvae from files to showers: what is read comes back, losses train what they name, draws are a shower's own."""

import dataclasses

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from calojax.errors import InputError
from calojax.nn.boltzmann import machine
from calojax.systems.qvae import dispersion, latent, losses, preparation, showers, system, transform
from calojax.systems.qvae.config import Config, Data, Losses
from calojax.systems.qvae.models.decoded import Decoded

pytestmark = pytest.mark.slow


def test_showers_come_back_from_the_grid(model, batch, events, small):
    tile = {name: array[0] for name, array in batch.items()}
    known, incident, cells = model.constants, jnp.asarray(events[0][:8]), jnp.asarray(events[1][:8])

    @jax.jit
    def there_and_back():
        read = showers.of_hits(tile, small.model.nodes, known)
        sure = Decoded(jnp.where(read.u > 0, 50.0, -50.0), jnp.where(read.u > 0, read.u, 7.0))
        drawn = showers.drawn(sure, None, incident, jax.random.split(jax.random.key(0), len(cells)), known)
        return read, showers.of_cells(incident, cells, small.model.nodes, known), drawn

    read, dense, drawn = there_and_back()
    np.testing.assert_allclose(read.u, dense.u, rtol=1e-6)
    np.testing.assert_array_equal(read.bits, dense.bits)
    np.testing.assert_allclose(drawn, cells, rtol=1e-4)
    np.testing.assert_array_equal(drawn > 0, cells > 0)


def test_a_voxel_at_the_incident_energy_leaves_its_shower_out_and_is_counted(detector, events, tmp_path, monkeypatch):
    energy, cells = events[0].copy(), events[1].copy()
    cells[3, 7] = energy[3]
    with h5py.File(tmp_path / "showers.hdf5", "w") as out:
        out["incident_energies"], out["showers"] = energy[:, None], cells
    monkeypatch.setattr(preparation, "detector", lambda sources, data: detector)
    found = preparation.prepare([tmp_path / "showers.hdf5"], tmp_path / "shards", Data())
    assert found.rows == len(energy) - 1
    assert found.selections[preparation.CLEANED] == 1


def test_a_file_without_bins_needs_a_geometry(file, tmp_path):
    with pytest.raises(InputError, match="geometry"):
        preparation.prepare([file], tmp_path / "shards", Data())


def test_regularisation_changes_loss_and_gradient(model, batch, changed, monkeypatch):
    monkeypatch.setattr(Losses, "__post_init__", lambda self: None)  # its weight is an argument of the one program

    @jax.jit
    def of(params, entropy):
        config = changed("losses", entropy=entropy)

        def total(params):
            found = losses.autoencoder(params, model._replace(params=params), batch, jax.random.key(0), config)
            return found.total / found.weight

        return jax.value_and_grad(total)(params)

    plain, gradient = of(model.params, 0.0)
    pulled, other = of(model.params, 1.0)
    assert not np.isclose(plain, pulled)
    apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), gradient["encoder"], other["encoder"])
    assert max(jax.tree.leaves(apart)) > 0
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradient["prior"]))


def test_what_is_said_best_of_several_energies_has_their_mean():
    """Minimised on a grid; skewed energies, up to most of the shower's, so that the mean of u is another."""
    share = jnp.asarray([1e-6, 1e-3, 0.1, 0.6])
    u = transform.transform(share, jnp.ones(4))
    said = jnp.linspace(5.0, 20.0, 60_001)
    best = said[dispersion.deviance(u[:, None], said).sum(0).argmin()]
    assert float(transform.inverse(best[None], jnp.ones(1))[0]) == pytest.approx(float(share.mean()), rel=2e-3)
    near = dispersion.deviance(u[:2], u[:2] + 1e-2) / jnp.exp(u[:2] / 2)
    np.testing.assert_allclose(near, 1e-4, rtol=1e-2)  # the published one


def test_a_prior_that_is_not_trained_yet_may_not_pull():
    with pytest.raises(InputError, match="joint"):
        Config(losses=Losses(prior_energy=0.01))
    assert Config(losses=Losses(prior_energy=0.01), joint=True).joint


def test_the_prior_is_trained_alone_and_its_chains_hold_the_energies(model, batch, small):
    def total(params):
        found = losses.prior(params, model._replace(params=params), batch, jax.random.key(0), small)
        return found.total / found.weight, found.state

    (_, state), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(model.params)
    assert not any(np.any(leaf) for name in ("encoder", "decoder") for leaf in jax.tree.leaves(gradient[name]))
    assert np.any(gradient["prior"].weights)
    np.testing.assert_array_equal(np.asarray(gradient["prior"].weights)[~np.asarray(model.constants.mask)], 0.0)
    of = jax.jit(lambda incident: showers.conditions(incident, small.model.nodes, model.constants)[1])
    bits = of(batch["incident_energy"].ravel())
    np.testing.assert_array_equal(state["chains"][:, 0], bits[: small.prior.chains])
    assert state["chains"].shape == model.state["chains"].shape


@pytest.fixture(scope="module")
def draw(model, small):
    def draw(energies, keys, config=small, **given):
        conditions = {"incident_energy": jnp.asarray(energies, jnp.float32)} | given
        capacity = system.capacities(config, model.constants)[0]
        function = jax.jit(lambda conditions, keys: system.generate(model, conditions, keys, config, capacity))
        found = function(conditions, keys)
        assert not found.overflow
        ends = np.cumsum(found.count)
        return [(found.index[a:b], found.energy[a:b]) for a, b in zip([0, *ends], ends, strict=False)]

    return draw


def test_a_shower_depends_on_its_energy_and_its_key_alone(draw):
    keys = jax.random.split(jax.random.key(3), 4)
    energies = np.array([2e3, 5e3, 9e3, 5e4])
    first, turned = draw(energies, keys), draw(energies[::-1], keys[::-1])
    for (index, energy), (other, value) in zip(first, turned[::-1], strict=True):
        np.testing.assert_array_equal(index, other)
        np.testing.assert_allclose(energy, value, rtol=1e-4)


@pytest.mark.parametrize("latent", ["naive", "posterior"])
def test_latent_bits_come_from_where_they_are_asked_for(draw, changed, events, latent):
    config = changed("generation", latent=latent)
    keys = jax.random.split(jax.random.key(3), 4)
    given = {"showers": jnp.asarray(events[1][:4])} if latent == "posterior" else {}
    found = draw(events[0][:4], keys, config, **given)
    assert all(len(index) == len(np.unique(index)) and (np.asarray(energy) > 0).all() for index, energy in found)


def test_a_reconstruction_needs_showers(draw, changed):
    with pytest.raises(InputError, match="showers"):
        draw([1e3] * 4, jax.random.split(jax.random.key(0), 4), changed("generation", latent="posterior"))


@pytest.mark.parametrize("joint", [False, True])
def test_a_prior_begins_with_the_frequencies_of_the_bits(prepared, model, small, joint):
    """One that was trained beside the autoencoder stays as it is, about the offsets it was trained about."""
    small = dataclasses.replace(small, joint=joint)
    fit = next(phase for phase in system.phases(small) if phase.name == "encoded")
    found = fit.fit(prepared, model.params, small)
    often = np.asarray(found["frequencies"])
    assert often.shape == (4, small.model.nodes) and (often >= 0).all() and (often <= 1).all()
    assert np.all(found["dispersion"] > 0)
    if joint:
        assert found["prior"] is model.params["prior"] and found["offsets"] is model.params["offsets"]
        return
    np.testing.assert_array_equal(found["offsets"], often)
    free = machine.conditional(latent.plain(found, model.constants), jnp.zeros((4, small.model.nodes)), 2)
    np.testing.assert_allclose(free, often[2].clip(1e-4, 1 - 1e-4), atol=1e-5)


def test_the_prior_has_its_parameters_about_the_offsets(model, batch, small):
    """In what is drawn and in what is trained: in numpy, with offsets that are all different."""
    offsets = jax.random.uniform(jax.random.key(4), model.params["offsets"].shape)
    moved = model._replace(params=model.params | {"offsets": offsets})
    prior, mask = model.params["prior"], np.asarray(model.constants.mask)
    v = jax.random.bernoulli(jax.random.key(5), 0.5, offsets.shape).astype(jnp.float32)
    fields = np.array(prior.biases, np.float64)
    for (i, j), weights in zip(machine.PAIRS, np.where(mask, prior.weights, 0.0), strict=True):
        fields[i] += weights @ np.asarray(v - offsets)[j]
        fields[j] += weights.T @ np.asarray(v - offsets)[i]
    given = latent.given(moved.params, moved.constants)
    np.testing.assert_allclose(machine.fields(given, v), fields, atol=1e-4)

    def total(params):
        found = losses.prior(params, moved._replace(params=params), batch, jax.random.key(0), small)
        return found.total / found.weight

    gradient = jax.jit(jax.grad(total))(moved.params)
    assert np.any(gradient["prior"].weights) and not np.any(gradient["offsets"])


def test_energies_fluctuate_unless_they_are_not_to(draw, changed, model):
    """The same hits in both, one by one; the model has some spread."""
    assert np.all(model.params["dispersion"] > 0)
    keys, energies = jax.random.split(jax.random.key(3), 4), np.array([2e3, 5e3, 9e3, 5e4])
    plain = draw(energies, keys, changed("generation", fluctuations=False))
    for (index, energy), (other, value) in zip(draw(energies, keys), plain, strict=True):
        np.testing.assert_array_equal(index, other)
        assert np.std(np.log(np.asarray(energy) / np.asarray(value))) > 0.1


def test_joint_training_moves_both_in_every_step(small):
    (_, phase, _) = system.phases(dataclasses.replace(small, joint=True))
    assert [update.trainable for update in phase.updates] == [("encoder", "decoder", "direct"), ("prior",)]
