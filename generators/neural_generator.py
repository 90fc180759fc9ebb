"""NeuralGenerator: what the neural generators share.

Each of them trains a `RowNet` on the steps of users, plainly or with DP-SGD, and samples from it.
A model in `models/` says which layers the network has, which arguments are its own, and where the
latents of new users come from::

    class Mine(NeuralGenerator):
        budget_entry = "mine"

        def _layers(self):
            return nn.ModuleList(RecurrentLayer(self.width) for _ in range(self.layers))

        def _latents(self, users, generator):
            return torch.zeros((users, 0))
"""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import nn

from eventlog import EventLog
from eventlog._runtime.settings import Range, parameters
from generators.codec.codec import Codec
from generators.codec.restore.codec import restored
from generators.markov.attributes import AttributeTables
from generators.nn.batches import TrainingPlan
from generators.nn.dp_sgd import (
    noise_left,
    private_epochs_of,
    private_steps,
    sampling_rate,
    train_privately,
)
from generators.nn.network import RowNet
from generators.nn.posterior import normal_of, posterior_draws
from generators.nn.training import check_finite, epochs_of, train, train_attributes
from generators.privacy.accounting import PrivacyLedger
from generators.privacy.counts import shares_of
from generators.sampling.biases import Biases, restored_biases, state_of
from generators.sampling.calibration import calibrate_fields
from generators.sampling.conditions import after_any, with_labelled_sessions
from generators.sampling.parts import FIELDS_STREAM, one_thread, stream
from generators.sampling.sampler import sample_rows
from generators.sampling.step_decoder import StepDecoder
from generators.sequence_model import SequenceGenerator
from generators.sequences.encode import EncodedSequences
from generators.sequences.sampled import Sampled
from generators.validation import Record, array, no_others, weights_of

PRIOR_USERS = 8192  # latents from which the marginals of users' attributes are calibrated
# CPU seconds on the reference machine, from the benchmark's cells and private fits of `vae`
# (docs/studies/first-hour-2026-11-29.md, generator-cost-2026-11-29.md): of any fit, and of a row
# before and after training.
OPEN_START_S, PRIVATE_START_S = 3.0, 4.0
ONCE_S = 5.0e-5


class NeuralGenerator(SequenceGenerator):
    """A network over the steps of users, with or without a latent per user.

    Args:
        width: hidden units of the decoder.
        layers: layers of the decoder.
        epochs: passes over the log; 0 means as many as `rows` allows.
        rows: rows that are seen in training where `epochs` is 0.
        rate: learning rate.
        batch_steps: rows of a batch.
        window: rows after which the sequence of a user is cut in training.
        word_dropout: share of the rows that the network does not see in training; less where a log
            is passed over less than three times.
        item_dropout: share of the last items that it does not see where a log is passed over many
            times, without a privacy budget; none where that is three times.
        private_epochs, private_rows, batch_users, clip, private_rate: of DP-SGD: expected passes
            over the users (0: 6 over up to 1,500 users, 12 over 3,000 and more), rows learnt from
            a user, expected users of a batch, largest norm of a user's gradient, learning rate.
        sequence: see `SequenceGenerator`.
    """

    supports_epsilon = True
    latent: int = 0  # numbers of a user's latent; 0 = none
    # what the training is called in the ledger; it also names the streams of its noise
    budget_entry: ClassVar[str]
    open_pace: ClassVar[float] = 2.2e-5  # CPU seconds of a row in an epoch
    # CPU seconds that DP-SGD takes for a user in a batch, and for each row of that user; None where
    # they have not been measured
    private_pace: ClassVar[tuple[float, float] | None] = None
    calibration_stream: ClassVar[int] = 7  # tells the seed of the calibration from other seeds

    def __init__(
        self,
        *,
        width: Annotated[int, Range(1, 8192)] = 96,
        layers: Annotated[int, Range(1, 64)] = 1,
        epochs: Annotated[int, Range(0, 1_000_000)] = 0,
        rows: Annotated[int, Range(1, 10**9)] = 850_000,
        rate: Annotated[float, Range(1e-9, 1)] = 6e-3,
        batch_steps: Annotated[int, Range(1, 10**9)] = 640,
        window: Annotated[int, Range(2, 1_000_000)] = 128,
        word_dropout: Annotated[float, Range(0, 0.99)] = 0.1,
        item_dropout: Annotated[float, Range(0, 0.99)] = 0.9,
        private_epochs: Annotated[int, Range(0, 1_000_000)] = 0,
        private_rows: Annotated[int, Range(1, 1_000_000)] = 64,
        batch_users: Annotated[int, Range(1, 10**9)] = 192,
        clip: Annotated[float, Range(1e-9, 1e9)] = 1.0,
        private_rate: Annotated[float, Range(1e-9, 1)] = 2e-3,
        **sequence: Any,
    ) -> None:
        super().__init__(**sequence)
        self.width, self.layers = width, layers
        self.plan = TrainingPlan(
            epochs=epochs,
            rows=rows,
            rate=rate,
            batch_steps=batch_steps,
            window=window,
            word_dropout=word_dropout,
            item_dropout=item_dropout,
            private_epochs=private_epochs,
            private_rows=private_rows,
            batch_users=batch_users,
            clip=clip,
            private_rate=private_rate,
        )

    def settings(self) -> dict[str, Any]:
        """See Generator.settings."""
        plan = {k: v for k, v in vars(self.plan).items() if k != "free_bits"}
        return {**super().settings(), "width": self.width, "layers": self.layers, **plan}

    def expected_seconds(self, log: EventLog, *, private: bool) -> float | None:
        """See Generator.expected_seconds; known for the default width and layers only."""
        usual = parameters(type(self))
        if any(getattr(self, name) != usual[name] for name in ("width", "layers")):
            return None
        if not private:
            epochs = epochs_of(self.plan, len(log))
            return OPEN_START_S + len(log) * (ONCE_S + self.open_pace * epochs)
        if self.private_pace is None:
            return None
        users = log.events["user_id"].value_counts()
        users = users[users > 0]  # ids may be a categorical that knows more
        learnt = users.clip(upper=self._rows_of_a_user(private)).sum()
        of_user, of_row = self.private_pace
        passes = private_epochs_of(self.plan, len(users))
        return PRIVATE_START_S + passes * (of_user * len(users) + of_row * learnt)

    # --- what a model says ------------------------------------------------------------------------

    @abstractmethod
    def _layers(self) -> nn.ModuleList:
        """Return the layers of the decoder, each (B, T, D) -> (B, T, D) and with `start(users)`."""

    @abstractmethod
    def _latents(self, users: int, generator: torch.Generator) -> torch.Tensor:
        """Return the latents (users, Z) of new users."""

    def _learn_latents(self, latents: torch.Tensor, *, seed: int) -> None:
        """Learn how the latents (n_users, Z) of the log's users are distributed; not called under
        a privacy budget.
        """

    def _own_arrays(self) -> dict[str, np.ndarray]:
        """Return what is saved beside the network, by name."""
        return {}

    def _restore_own(self, arrays: dict[str, np.ndarray]) -> None:
        """Put back what `_own_arrays` returned."""

    # --- learning ---------------------------------------------------------------------------------

    def _rows_of_a_user(self, private: bool) -> int:
        return min(self.plan.private_rows, self.max_rows) if private else self.max_rows

    def _learn(self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger) -> None:
        private = ledger.epsilon is not None
        self.net_ = self._build(seed)
        self.net_.start_from(self.field_marginals_)
        if private:
            self._learn_privately(steps, seed=seed, ledger=ledger)
        else:
            self._learn_openly(steps, seed=seed)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + self.calibration_stream)
        self.net_.calibrate(
            self._latents(PRIOR_USERS, generator),
            [shares_of(counts) for counts, _ in self.attribute_counts_],
            generator,
            None if private else steps.user_attributes,
        )
        self.biases_: Biases = {}
        if not private:
            self.biases_ = calibrate_fields(
                self.codec_, steps, partial(self._pilot, seed), network=True
            )

    @torch.inference_mode()
    def _pilot(self, seed: int, biases: Biases, users: int, labelled: int, number: int) -> Sampled:
        """Return the rows of `users` users, drawn with `biases`; `number` is that of the sample.

        After them come those of `labelled` users who are to have labelled sessions.
        """
        accept, generator = None, stream(seed, FIELDS_STREAM, number)
        if labelled:
            accept = after_any(users, with_labelled_sessions(self.codec_, True, None))
        model = StepDecoder(self.codec_, self.net_, self._latents, biases)
        with one_thread():
            return sample_rows(
                self.codec_, model, users + labelled, generator, accept=accept, with_shares=True
            )

    def _learn_openly(self, steps: EncodedSequences, *, seed: int) -> None:
        """Train without a privacy budget."""
        train(self.net_, self.codec_, steps, self.plan, seed=seed)
        check_finite(self.net_)
        noise = normal_of(self.latent, seed)
        latents = torch.from_numpy(posterior_draws(self.net_, steps, self.plan, noise))
        attributes = steps.user_attributes
        self.attributes_, held_out = AttributeTables.learn_with_folds(
            self.codec_, attributes.numpy()
        )
        self.net_.log_shares = self.attributes_.log_shares
        train_attributes(
            self.net_, attributes, latents, lambda users: [k.of(users) for k in held_out], seed=seed
        )
        self._learn_latents(latents, seed=seed)

    def _learn_privately(
        self, steps: EncodedSequences, *, seed: int, ledger: PrivacyLedger
    ) -> None:
        """Train with DP-SGD on what the ledger has left."""
        phase = (sampling_rate(self.plan, ledger.users), private_steps(self.plan, ledger.users))
        self._train_privately(steps, sigma=noise_left(ledger, [phase]), ledger=ledger)

    def _train_privately(
        self, steps: EncodedSequences, *, sigma: float, ledger: PrivacyLedger
    ) -> None:
        """Train the network with the noise multiplier `sigma`."""
        train_privately(
            self.net_,
            self.codec_,
            steps,
            self.plan,
            sigma=sigma,
            ledger=ledger,
            what=self.budget_entry,
        )

    def _build(self, seed: int) -> RowNet:
        """Return an untrained network, whose weights follow from `seed`."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers = self._layers()
            return RowNet(self.codec_, width=self.width, latent=self.latent, layers=layers)

    def _step_model(self, past: EncodedSequences | None = None) -> StepDecoder:
        if past is None or not self.latent:
            return StepDecoder(self.codec_, self.net_, self._latents, self.biases_)
        noise = normal_of(self.latent, 0)
        latents = torch.from_numpy(posterior_draws(self.net_, past, self.plan, noise))
        return StepDecoder(self.codec_, self.net_, lambda users, generator: latents, self.biases_)

    # --- saving -----------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """See Generator.state."""
        net = {f"net/{k}": v.detach().numpy() for k, v in self.net_.state_dict().items()}
        arrays, data = net | self._own_arrays(), {"codec": self.codec_.to_json()}
        if self.codec_.private:
            return arrays, data
        arrays |= self.attributes_.state() | state_of(self.biases_)
        return arrays, data | {"parents": self.attributes_.parents_by_name()}

    def restore(self, arrays: dict[str, np.ndarray], data: dict[str, Any]) -> None:
        """See Generator.restore."""
        own = Record(data)
        self.codec_ = restored({"codec": own.value("codec")}, max_rows=self.max_rows)
        own.only(("codec",) if self.codec_.private else ("codec", "parents"))
        # A network is built only where `arrays` fill it: the settings alone could ask for any size.
        for name, shape in self._large_shapes(self.codec_).items():
            array(arrays, name, dtype="float32", shape=shape)
        self.net_ = self._build(0)
        self.net_.load_state_dict(weights_of(arrays, "net/", self.net_))
        self.net_.eval()
        self._restore_own(arrays)
        others, self.biases_ = self._own_arrays(), {}
        if not self.codec_.private:
            self.attributes_ = AttributeTables.restored(self.codec_, arrays, own.record("parents"))
            self.net_.log_shares = self.attributes_.log_shares
            self.biases_ = restored_biases(self.codec_, arrays, network=True)
            others |= self.attributes_.state() | state_of(self.biases_)
        no_others([n for n in arrays if not n.startswith("net/")], others)

    def _large_shapes(self, codec: Codec) -> dict[str, tuple[int, ...]]:
        """Return the shapes of arrays that say how large the network is, by name."""
        rows = {
            "embed": sum(codec.feature_sizes()),
            "embed_static": sum(codec.user_attribute_sizes().values()),
        }
        if codec.items.size > 1:
            rows["item_head"] = codec.items.size
        shapes: dict[str, tuple[int, ...]] = {"net/norm.weight": (self.width,)}
        shapes |= {f"net/{name}.weight": (n, self.width) for name, n in rows.items()}
        shapes |= {f"net/layers.{k}.norm.weight": (self.width,) for k in range(self.layers)}
        if self.latent:
            shapes["net/from_latent.weight"] = (self.width, self.latent)
        return shapes
