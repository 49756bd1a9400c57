package io.github.dl4jlora.property;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.adapter.Extraction;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.FrozenWeights;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

import static org.assertj.core.api.Assertions.assertThat;

/** What must hold for every adapted network, as far as DL4J's own does its part. */
enum Law {
    FRESH_IS_BASE {
        @Override
        void check(Trial trial) {
            NotApplicable.unless(!trial.spec.settings().startsFromLoss(), "its start makes up for what quantising lost");
            Model fresh = trial.adapted();
            requireClose("output of a fresh adapted network", trial, trial.output(fresh), trial.output(trial.base()));
            if (!trial.spec.isRandom() && trial.spec.type().width() > 2
                    && !(trial.spec.hasBatchNorm() && trial.trainsInFull())) {
                // Batch normalisation that trains, as the base's does, goes by the batch's own statistics.
                double expected = trial.spec.hasBatchNorm() ? trial.score(trial.base())
                        : Gradients.pass(new Trial(trial.spec).base(), trial.data());
                assertThat(Math.abs(Gradients.pass(fresh, trial.data()) - expected) / Math.max(1, Math.abs(expected)))
                        .as("training score of a fresh adapted network, beside the base's").isLessThan(trial.tolerance());
            }
        }
    },

    /** dL/dA and dL/dB are projections of the dL/dW of the stock network that has W + ΔW; the rest is equal. */
    GRADIENTS_ARE_THE_STOCK_NETWORKS {
        @Override
        void check(Trial trial) {
            requireStockGradients(trial.spec);
            Model tuned = trial.tuned();
            Map<String, INDArray> gradients = Gradients.of(tuned, trial.data());
            Map<String, INDArray> stock = Gradients.of(Models.merge(tuned), trial.data());
            orVacuous(() -> Gradients.assertProjections(tuned, gradients, stock));
        }
    },

    GRADIENTS_ARE_FINITE_DIFFERENCES {
        @Override
        void check(Trial trial) {
            NetworkSpec spec = trial.spec;
            NotApplicable.unless(spec.type() == DataType.DOUBLE && !spec.isRandom()
                    && spec.settings().place() != Settings.Place.EMBEDDED
                    && !(trial.trainsInFull() && (spec.hasBatchNorm() || spec.head() == Head.CENTER_LOSS)),
                    "what trains is no variable of the loss");
            Model tuned = trial.tuned();
            if (differs(tuned, trial) && differs(trial.randomized(tuned, spec.seed() + 50), trial)) {
                if (!spec.hasBatchNorm() && !spec.hasSameDiff() && differs(Models.merge(tuned), trial)) {
                    throw new StockFails("the stock network's gradients are no finite differences", null);
                }
                requireDifferences(trial.unclipped(), Gradients.pass(tuned, trial.data()));
            }
        }

        private void requireDifferences(Trial unclipped, double clippedScore) {
            Model tuned = unclipped.randomized(unclipped.tuned(), unclipped.spec.seed() + 50);
            if (Double.isFinite(clippedScore) && !Double.isFinite(Gradients.pass(tuned, unclipped.data()))) {
                throw new StockFails("the loss is finite only where DL4J clips it", null);
            }
            Gradients.assertEqualFiniteDifferences(tuned, unclipped.data());
        }

        /** Once may be a kink. */
        private boolean differs(Model network, Trial trial) {
            try {
                orVacuous(() -> Gradients.assertEqualFiniteDifferences(network, trial.data()));
                return false;
            } catch (AssertionError e) {
                return true;
            }
        }
    },

    EMBEDDED_IS_SHARED {
        @Override
        void check(Trial trial) {
            Settings settings = trial.spec.settings();
            NotApplicable.unless(settings.place() == Settings.Place.EMBEDDED && settings.variant() != Settings.Which.FROZEN_A
                    && !trial.spec.isRandom(), "it is not embedded");
            Model shared = trial.tuned(trial.config(settings.at(Settings.Place.SHARED)));
            requireAlike("embedded and shared", trial, trial.tuned(), shared);
        }
    },

    /** Fewer bits are other weights, and nothing else: those that are given back do the same in an array. */
    QUANTIZED_IS_RESTORED {
        @Override
        void check(Trial trial) {
            Settings settings = trial.spec.settings();
            NotApplicable.unless(settings.place().scheme != null, "it is not quantised");
            Model quantized = trial.tuned();
            assertThat(ids(trial.adapted())).as("ids of what was quantised twice").isEqualTo(ids(quantized));
            assertThat(ids(new Trial(trial.spec).adapted())).as("ids of what an equal base becomes")
                    .isEqualTo(ids(quantized));
            // An A that rests keeps its start, which the restored values cannot give.
            boolean startsAlike = !(settings.startsFromLoss() && settings.variant() == Settings.Which.FROZEN_A)
                    && !settings.keepsWhatDataTold();
            if (!trial.spec.isRandom() && startsAlike) {
                requireAlike("quantised and restored", trial, quantized,
                        trial.tuned(trial.base(), trial.config(settings.at(Settings.Place.SHARED))));
            }
        }
    },

    CALLERS_ARRAYS_STAY {
        @Override
        void check(Trial trial) {
            if (moves(trial, trial.tuned())) {
                Trial stock = new Trial(trial.spec);
                if (moves(stock, stock.original)) {
                    throw new StockFails("the stock network writes to the caller's arrays", null);
                }
                throw new AssertionError("fit or output writes to the caller's features, labels or masks");
            }
        }

        private boolean moves(Trial trial, Model network) {
            List<List<Long>> before = trial.bits();
            for (int step = 0; step < 2; step++) {
                trial.useOwnArrays(network);
            }
            return !trial.bits().equals(before);
        }
    },

    FROZEN_STAYS {
        @Override
        void check(Trial trial) {
            List<Long> original = Trial.bits(trial.original.params());
            List<Long> before = Trial.bits(trial.base().params());
            Model tuned = trial.tuned();
            for (int step = 0; step < 3; step++) {
                trial.fit(tuned);
            }
            assertThat(Trial.bits(trial.original.params())).as("the base's values, bit by bit").isEqualTo(original);
            if (!trial.trainsInFull()) {
                assertThat(Trial.bits(Models.unload(tuned).params())).as("the unloaded network's values, bit by bit")
                        .isEqualTo(before);
            }
        }
    },

    /** What was made of a base, and trained, leaves nothing in it. */
    BASE_TRAINS_AS_ALONE {
        @Override
        void check(Trial trial) {
            NotApplicable.unless(trial.original.params().length() > 0, "it has no parameters");
            trial.trained();
            requireClose("the base's parameters after a step", trial, afterAStep(trial), afterAStep(new Trial(trial.spec)));
        }

        private INDArray afterAStep(Trial trial) {
            Nd4j.getRandom().setSeed(trial.spec.seed());
            trial.fit(trial.original);
            return trial.original.params();
        }
    },

    MERGED_IS_ADAPTED {
        @Override
        void check(Trial trial) {
            Model trained = trial.trained();
            INDArray expected = trial.output(trained);
            Model merged = Models.merge(trained);
            requireClose("output of the merged network", trial, trial.output(merged), expected);
            requireClose("output of the adapted network after it was merged", trial, trial.output(trained), expected);
            assertThat(LoRA.merging(trained).report().leastSurviving()).as("what the report says survives").isGreaterThan(0.99);
            assertThat(namesOfOurs(merged)).as("classes that the merged network's configuration names").isEmpty();
        }
    },

    /** Sequences in pieces: state is kept from one to the next, and forgotten when asked. */
    STEPS_ARE_THE_MERGED_NETWORKS {
        @Override
        void check(Trial trial) {
            NotApplicable.unless(trial.spec.input().signal == Signal.SEQUENCE, "it takes no sequences");
            Model tuned = trial.tuned();
            requireSameSteps(trial, tuned, Models.merge(tuned));
        }
    },

    /** Truncated backpropagation through time: every segment's gradients, as {@link #GRADIENTS_ARE_THE_STOCK_NETWORKS}. */
    SEGMENTS_ARE_THE_STOCK_NETWORKS {
        @Override
        void check(Trial trial) {
            NotApplicable.unless(trial.spec.input() == Input.SEQUENCE && trial.labels.rank() == 3
                    && trial.labels.size(2) == Input.STEPS, "DL4J does not cut its sequences");
            requireStockGradients(trial.spec);
            Segments.check(trial);
        }
    },

    /** Without adapters: the same function, and the way back to the network itself. */
    FROZEN_IS_BASE {
        @Override
        void check(Trial trial) {
            NotApplicable.unless(trial.original.params().length() > 0, "it has no parameters");
            Quantization scheme = trial.spec.settings().place().scheme;
            Model frozen = trial.frozen();
            Model base = scheme == null ? trial.original : Models.unload(frozen);
            INDArray expected = trial.output(base);
            requireClose("output of the frozen network", trial, trial.output(frozen), expected);
            requireClose("output of the frozen network's clone", trial, trial.output(Models.copy(frozen)), expected);
            if (!trial.spec.isRandom()) {
                double score = trial.score(base);
                assertThat(Math.abs(trial.score(frozen) - score) / Math.max(1, Math.abs(score))).as("score of the frozen network")
                        .isLessThan(trial.tolerance());
            }
            Model merged = Models.merge(frozen);
            assertThat(Trial.bits(merged.params())).as("the merged network's values, bit by bit")
                    .isEqualTo(Trial.bits(base.params()));
            assertThat(Models.json(merged)).as("the merged network's configuration").isEqualTo(Models.json(trial.original));
            if (trial.spec.input().signal == Signal.SEQUENCE) {
                // Of what has computed already some of DL4J's vertices keep a mask.
                requireSameSteps(trial, Models.copy(trial.frozen()), merged);
            }
            // What freezing leaves in an array an adapted layer might take in fewer bits.
            LoRAConfig asItIs = scheme == null ? trial.config()
                    : trial.config(trial.spec.settings().at(Settings.Place.SHARED));
            requireClose("output of a network adapted from the frozen one", trial,
                    trial.output(trial.apply(frozen, asItIs)), expected);
        }
    },

    /** Whatever training in full changed goes into an adapter, and comes out of it again. */
    EXTRACTED_IS_FINE_TUNED {
        @Override
        void check(Trial trial) {
            NotApplicable.unless(trial.base().numParams() > 0, "it has no parameters");
            Model tuned = new Trial(trial.spec).base();
            try {
                trial.fit(tuned);
                trial.fit(tuned);
            } catch (RuntimeException e) {
                throw new StockFails("training", e);
            }
            NotApplicable.unless(Double.isFinite(tuned.params().castTo(DataType.DOUBLE).sumNumber().doubleValue()),
                    "fine-tuning diverged");
            NotApplicable.unless(!Trial.bits(tuned.params()).equals(Trial.bits(trial.base().params())), "it does not learn");
            Extraction.Extracted extracted = LoRAAdapter.extract(trial.base(), tuned).energy(1).fullValues(true).build();
            assertThat(extracted.leftOut()).as("what was left out").isEmpty();
            requireClose("output of the fine-tuned network, by an adapter", trial,
                    trial.output(Models.with(trial.base(), extracted.adapter())), trial.output(tuned));
        }
    },

    /** Saved networks outlive a version only as far as the classes that they name do. */
    NAMES_IN_FILES_ARE_A_PROMISE {
        @Override
        void check(Trial trial) {
            assertThat(namesOfOurs(trial.adapted())).isSubsetOf(
                    "layer.LoRADenseLayer", "layer.LoRAWrapperLayer", "layer.LoRAWrapperVertex", "layer.AdaptedOutputLayer",
                    "frozen.FrozenBaseLayer", "frozen.FrozenBaseVertex", "frozen.TrainedSameDiffLayer",
                    "frozen.TrainedSameDiffVertex");
        }
    },

    /** A bank computes what networks of its adapters do, each by itself, all in one batch, and those of several callers. */
    BANK_IS_ADAPTED {
        @Override
        void check(Trial trial) {
            Banked.check(trial);
        }
    },

    /** A plan says what is made, and nothing of the base moves. */
    PLANNED_IS_MADE {
        @Override
        void check(Trial trial) throws Exception {
            Planned.check(trial);
        }
    },

    /** Several batches make the update of one. */
    ACCUMULATED_IS_ONE_BATCH {
        @Override
        void check(Trial trial) throws Exception {
            Accumulating.check(trial);
        }
    },

    SWEEP_LEAVES_NO_TRACE {
        @Override
        void check(Trial trial) {
            Swept.check(trial);
        }
    },

    /** A way through DL4J or this library ends in the same function, and trains the same where it says so. */
    PATH_LEADS_TO_THE_SAME {
        @Override
        void check(Trial trial) throws Exception {
            Path path = trial.spec.path();
            Model trained = trial.trained();
            try {
                follow(path, trial, trained);
            } catch (NotApplicable | StockFails e) {
                throw e;
            } catch (Exception | AssertionError e) {
                if (path.inStock() != null) {
                    requireStockGoes(path.inStock(), trial.spec);
                }
                throw e;
            }
        }

        private void requireStockGoes(Path path, NetworkSpec spec) {
            Trial stock = new Trial(spec);
            try {
                stock.fit(stock.original);
                follow(path, stock, stock.original);
            } catch (Exception | AssertionError e) {
                throw new StockFails("path " + path, e);
            }
        }

        private void follow(Path path, Trial trial, Model network) throws Exception {
            assertThat(path.distance(trial, network)).as("output at the end of " + path)
                    .isLessThan(path.tolerance(trial));
            if (path.trainsTheSame(trial.spec)) {
                Model end = path.through(trial, network);
                trial.fit(network);
                trial.fit(end);
                assertThat(Trial.distance(end.params(), network.params()))
                        .as("what training makes of the parameters at the end of " + path).isLessThan(path.tolerance(trial));
            }
        }
    };

    /** But for a vertex as users write them. */
    private static final Pattern NAME_OF_OURS = Pattern.compile("dl4jlora\\.(?!property\\.)([\\w.$]+)");
    private static final Set<String> VACUOUS = Set.of("a gradient reaches", "the loss depends on what trains");

    /**
     * @throws AssertionError if it does not hold
     * @throws NotApplicable  if it says nothing about this network
     * @throws StockFails     if DL4J's own network does not do its part
     * @throws Exception      what adapted network or library throw
     */
    abstract void check(Trial trial) throws Exception;

    /** For laws about gradients that the stock network has too. */
    private static void requireStockGradients(NetworkSpec spec) {
        NotApplicable.unless(spec.type() == DataType.DOUBLE && !spec.isRandom()
                && spec.settings().variant() == Settings.Which.PLAIN && !spec.hasBatchNorm() && !spec.hasSameDiff()
                && !spec.freezesInBase(), "the stock network's are others");
    }

    static void orVacuous(Runnable check) {
        try {
            check.run();
        } catch (AssertionError e) {
            NotApplicable.unless(VACUOUS.stream().noneMatch(String.valueOf(e.getMessage())::contains), "no gradient arrives");
            throw e;
        }
    }

    private static void requireClose(String what, Trial trial, INDArray actual, INDArray expected) {
        assertThat(actual.shape()).as("shape of " + what).isEqualTo(expected.shape());
        assertThat(Trial.distance(actual, expected)).as("distance: " + what).isLessThan(trial.tolerance());
    }

    private static void requireAlike(String which, Trial trial, Model network, Model other) {
        requireClose("output, " + which, trial, trial.output(network), trial.output(other));
        Map<String, INDArray> gradients = Gradients.of(network, trial.data());
        Gradients.of(other, trial.data()).forEach((name, gradient) ->
                requireClose("gradient of " + name + ", " + which, trial, gradients.get(name), gradient));
    }

    private static List<String> namesOfOurs(Model network) {
        return NAME_OF_OURS.matcher(Models.json(network)).results().map(match -> match.group(1)).toList();
    }

    private static List<String> ids(Model adapted) {
        return BaseValues.verified(adapted).values().stream().map(FrozenWeights::id).toList();
    }

    private static void requireSameSteps(Trial trial, Model network, Model stock) {
        INDArray first = null;
        for (int piece = 0; piece < 3; piece++) {
            if (piece == 2) {
                Models.forget(network);
                Models.forget(stock);
            }
            INDArray expected;
            try {
                expected = Models.timeStep(stock, trial.features.dup());
            } catch (RuntimeException e) {
                throw new StockFails("rnnTimeStep", e);
            }
            if (piece == 2 && Trial.distance(expected, first) > trial.tolerance()) {
                throw new StockFails("a ComputationGraph does not forget the state of wrapped layers", null);
            }
            first = first == null ? expected : first;
            requireClose("output of rnnTimeStep, piece " + piece, trial, Models.timeStep(network, trial.features.dup()),
                    expected);
        }
    }
}
