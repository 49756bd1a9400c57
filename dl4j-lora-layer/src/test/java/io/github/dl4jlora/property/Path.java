package io.github.dl4jlora.property;

import io.github.dl4jlora.Gradients;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;
import org.deeplearning4j.parallelism.ParallelWrapper;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Files;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** A way of a network through DL4J or this library, at whose end it must compute what it did before. */
enum Path {
    CLONE(Training.THE_SAME) {
        @Override
        Model through(Trial trial, Model network) {
            return Models.copy(network);
        }
    },
    JSON(Training.THE_SAME_WITHOUT_STATE) {
        @Override
        Model through(Trial trial, Model network) {
            String json = Models.json(network);
            Model rebuilt = network instanceof ComputationGraph ? Networks.of(ComputationGraphConfiguration.fromJson(json))
                    : Networks.of(MultiLayerConfiguration.fromJson(json));
            rebuilt.setParams(network.params().dup());
            return rebuilt;
        }
    },
    SERIALIZER(Training.THE_SAME) {
        @Override
        Model through(Trial trial, Model network) throws IOException {
            java.nio.file.Path file = Files.createTempFile("property", ".zip");
            try {
                ModelSerializer.writeModel(network, file.toFile(), true);
                return network instanceof ComputationGraph ? ModelSerializer.restoreComputationGraph(file.toFile(), true)
                        : ModelSerializer.restoreMultiLayerNetwork(file.toFile(), true);
            } finally {
                Files.delete(file);
            }
        }
    },
    /** What ModelSerializer makes of the file too, bit by bit. */
    RESTORE(Training.THE_SAME) {
        @Override
        Model through(Trial trial, Model network) throws IOException {
            java.nio.file.Path file = Files.createTempFile("property", ".zip");
            try {
                ModelSerializer.writeModel(network, file.toFile(), true);
                Model restored = LoRA.restore(file, true);
                Model expected = network instanceof ComputationGraph
                        ? ModelSerializer.restoreComputationGraph(file.toFile(), true)
                        : ModelSerializer.restoreMultiLayerNetwork(file.toFile(), true);
                if (!Trial.everything(restored).equals(Trial.everything(expected))) {
                    throw new AssertionError("LoRA.restore and ModelSerializer differ");
                }
                return restored;
            } finally {
                Files.delete(file);
            }
        }
    },
    TO_COMPUTATION_GRAPH(Training.THE_SAME_WITHOUT_STATE) {
        @Override
        Model through(Trial trial, Model network) {
            NotApplicable.unless(network instanceof MultiLayerNetwork, "it is a graph already");
            return ((MultiLayerNetwork) network).toComputationGraph();
        }
    },
    FINE_TUNE(Training.THE_SAME_WITHOUT_STATE) {
        @Override
        Model through(Trial trial, Model network) {
            FineTuneConfiguration change = new FineTuneConfiguration.Builder().seed(trial.spec.seed())
                    .updater(Stock.updater(trial.spec)).build();
            return network instanceof ComputationGraph graph
                    ? new TransferLearning.GraphBuilder(graph).fineTuneConfiguration(change).build()
                    : new TransferLearning.Builder((MultiLayerNetwork) network).fineTuneConfiguration(change).build();
        }
    },
    FEATURE_EXTRACTOR(Training.OTHER) {
        @Override
        Model through(Trial trial, Model network) {
            if (network instanceof ComputationGraph graph) {
                return new TransferLearning.GraphBuilder(graph).setFeatureExtractor(middle(graph)).build();
            }
            MultiLayerNetwork layers = (MultiLayerNetwork) network;
            NotApplicable.unless(layers.getnLayers() > 1, "there is nothing below the head");
            return new TransferLearning.Builder(layers).setFeatureExtractor((layers.getnLayers() - 2) / 2).build();
        }
    },
    FEATURE_EXTRACTOR_ADAPTER(Training.OTHER, true) {
        @Override
        Model through(Trial trial, Model network) {
            NotApplicable.unless(trial.spec.settings().place() != Settings.Place.EMBEDDED || trial.spec.type() == DataType.FLOAT,
                    "DL4J's transfer learning takes parameters, the base's among them, through single precision");
            return trial.with(LoRAAdapter.of(FEATURE_EXTRACTOR.extracted(trial, network)));
        }
    },
    FEATURE_EXTRACTOR_MERGE(Training.OTHER, true) {
        @Override
        Model through(Trial trial, Model network) {
            return Models.merge(FEATURE_EXTRACTOR.extracted(trial, network));
        }
    },
    FEATURIZED(Training.OTHER) {
        @Override
        double distance(Trial trial, Model network) {
            NotApplicable.unless(trial.featuresMask == null, "featurized data have no masks");
            INDArray before = trial.output(network);
            if (network instanceof ComputationGraph graph) {
                TransferLearningHelper helper = new TransferLearningHelper(graph, middle(graph));
                INDArray[] features = inOrderOfInputs(helper, helper.featurize(trial.data()).getFeatures());
                NotApplicable.unless(Stream.of(features).allMatch(array -> array.size(0) == trial.features.size(0)),
                        "time steps in rows are a batch to DL4J's helper, which the head cannot undo");
                return Trial.distance(helper.outputFromFeaturized(features)[0], before);
            }
            MultiLayerNetwork layers = (MultiLayerNetwork) network;
            NotApplicable.unless(layers.getnLayers() > 1, "there is nothing below the head");
            TransferLearningHelper helper = new TransferLearningHelper(layers, (layers.getnLayers() - 2) / 2);
            return Trial.distance(helper.outputFromFeaturized(helper.featurize(trial.batch()).getFeatures()), before);
        }

        /** DL4J's helper gives them sorted by name, but its graph takes them in the order of a hash set. */
        private INDArray[] inOrderOfInputs(TransferLearningHelper helper, INDArray[] sorted) {
            List<String> inputs = helper.unfrozenGraph().getConfiguration().getNetworkInputs();
            List<String> names = inputs.stream().sorted().toList();
            return inputs.stream().map(input -> sorted[names.indexOf(input)]).toArray(INDArray[]::new);
        }

        @Override
        Model through(Trial trial, Model network) {
            return network;
        }
    },
    CONVERT_TYPE(Training.OTHER) {
        @Override
        Model through(Trial trial, Model network) {
            DataType other = trial.spec.type() == DataType.DOUBLE ? DataType.FLOAT : DataType.DOUBLE;
            return Models.converted(network, other);
        }
    },
    REPLICAS(Training.OTHER) {
        /**
         * Two replicas that see the same batch are, on average, one network that saw it; but DL4J copies the second from
         * the first, which may have taken its step by then.
         */
        @Override
        double distance(Trial trial, Model network) throws Exception {
            NotApplicable.unless(!trial.spec.isRandom() && !trial.spec.adam() && !trial.spec.scheduled(),
                    "replicas draw other numbers, and count their own steps");
            Model alone = Models.copy(network);
            trial.fit(alone);
            INDArray together = trial.output(alone);
            INDArray params = alone.params().dup();
            trial.fit(alone);
            alone.setParams(params.addi(alone.params()).muli(0.5));
            INDArray oneAfterTheOther = trial.output(alone);
            INDArray actual = trial.output(through(trial, network));
            return Math.min(Trial.distance(actual, together), Trial.distance(actual, oneAfterTheOther));
        }

        @Override
        Model through(Trial trial, Model network) throws Exception {
            try (ParallelWrapper wrapper = new ParallelWrapper.Builder<>(network).workers(2).prefetchBuffer(0)
                    .trainingMode(ParallelWrapper.TrainingMode.AVERAGING).averagingFrequency(1).averageUpdaters(true).build()) {
                wrapper.fit(new ExistingDataSetIterator(List.of(trial.batch(), trial.batch())));
            }
            return network;
        }
    },
    SAVE_AND_LOAD(Training.THE_SAME, true) {
        @Override
        Model through(Trial trial, Model network) throws IOException {
            java.nio.file.Path file = Files.createTempFile("property", ".zip");
            try {
                LoRA.save(network, file, true);
                return LoRA.load(file);
            } finally {
                Files.delete(file);
            }
        }
    },
    WITHOUT_BASE(Training.OTHER, true) {
        /** What a file holds, and a checkpoint of a copied base finds, moves with no base; nor does the vector. */
        @Override
        Model through(Trial trial, Model network) throws Exception {
            Model alone = (trial.spec.settings().place().needsBase() ? SAVE_AND_LOAD : SERIALIZER)
                    .through(trial, network);
            trial.original.params().assign(0);
            return alone;
        }
    },
    ADAPTER(Training.OTHER, true) {
        @Override
        Model through(Trial trial, Model network) throws IOException {
            java.nio.file.Path folder = Files.createTempDirectory("property");
            try {
                LoRAAdapter.of(network).save(folder);
                return trial.with(LoRAAdapter.load(folder));
            } finally {
                try (Stream<java.nio.file.Path> files = Files.walk(folder)) {
                    for (java.nio.file.Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                        Files.delete(file);
                    }
                }
            }
        }
    },
    ATTACH(Training.OTHER, true) {
        /** Another copy of the base takes its place, and the first may go. */
        @Override
        Model through(Trial trial, Model network) {
            Settings.Place place = trial.spec.settings().place();
            NotApplicable.unless(place.needsBase() || place.mapped || place.scheme != null, "it needs no base");
            trial.output(network);
            Models.attach(network, new Trial(trial.spec).source());
            trial.original.params().assign(0);
            return network;
        }
    },
    /** A base in fewer bits is computed as if it were in an array, bit for bit. */
    DISABLED(Training.OTHER, true) {
        @Override
        double distance(Trial trial, Model network) {
            INDArray before = trial.output(network);
            INDArray inside;
            try (LoRA.Scope disabled = LoRA.disabled(network)) {
                inside = trial.output(through(trial, network));
            }
            INDArray base = trial.output(trial.base());
            boolean exact = trial.spec.settings().place().scheme == null || Trial.bits(inside).equals(Trial.bits(base));
            return exact ? Math.max(Trial.distance(inside, base), Trial.distance(trial.output(network), before))
                    : Double.POSITIVE_INFINITY;
        }

        @Override
        Model through(Trial trial, Model network) {
            return network;
        }
    },
    /** What a network of another alpha computes, and merges into; and what it was before, bit for bit, afterwards. */
    RESCALED(Training.OTHER, true) {
        @Override
        double distance(Trial trial, Model network) {
            List<Long> before = Trial.bits(trial.output(network));
            double distance;
            try (LoRA.Scope half = LoRA.rescaled(network, HALF)) {
                INDArray inside = trial.output(network);
                distance = Trial.distance(inside, trial.output(Models.merge(network)));
                if (!trial.config().loraInit().isTakenFromW()) {
                    // Otherwise another alpha takes another start.
                    LoRAConfig config = trial.config();
                    Model other = trial.apply(trial.source(), config.toBuilder().alpha(HALF * config.alpha()).build());
                    other.setParams(network.params().dup());
                    distance = Math.max(distance, Trial.distance(inside, trial.output(other)));
                    distance = Math.max(distance, gradientDistance(trial, network, other));
                }
            }
            return Trial.bits(trial.output(network)).equals(before) ? distance : Double.POSITIVE_INFINITY;
        }

        @Override
        Model through(Trial trial, Model network) {
            return network;
        }
    },
    /** One layer merged, the others still adapted, and with the gradients that they had. */
    PARTIAL_MERGE(Training.OTHER, true) {
        @Override
        double distance(Trial trial, Model network) throws Exception {
            return Math.max(super.distance(trial, network), gradientDistance(trial, through(trial, network), network));
        }

        @Override
        Model through(Trial trial, Model network) {
            List<String> layers = LoRA.summary(network).rows().stream().filter(row -> row.rank() > 0)
                    .map(row -> row.name().replaceAll("/.*", "")).distinct().toList();
            NotApplicable.unless(layers.size() > 1, "nothing would be left adapted");
            return LoRA.merging(network).layers(Pattern.quote(layers.get((int) (trial.spec.seed() % layers.size())))).merge();
        }
    },
    UNLOAD(Training.OTHER, true) {
        @Override
        double distance(Trial trial, Model network) {
            NotApplicable.unless(!trial.trainsInFull(), "it keeps what it learned");
            return Trial.distance(trial.output(through(trial, network)), trial.output(trial.base()));
        }

        @Override
        Model through(Trial trial, Model network) {
            return Models.unload(network);
        }
    };

    /** What the network at the end does in {@code fit}. */
    enum Training {
        THE_SAME,
        /** The same where the updater has no state, which this way loses. */
        THE_SAME_WITHOUT_STATE,
        OTHER
    }

    private static final double HALF = 0.5;

    private final Training training;
    private final boolean forAdaptedOnly;

    Path(Training training) {
        this(training, false);
    }

    Path(Training training, boolean forAdaptedOnly) {
        this.training = training;
        this.forAdaptedOnly = forAdaptedOnly;
    }

    /** The network at the end of this way. */
    abstract Model through(Trial trial, Model network) throws Exception;

    /** How far what it computes there is from what it must compute. */
    double distance(Trial trial, Model network) throws Exception {
        INDArray expected = trial.output(network);
        return Trial.distance(trial.output(through(trial, network)), expected);
    }

    /** What of it DL4J's own networks can go too; null: nothing. */
    Path inStock() {
        return switch (this) {
            case FEATURE_EXTRACTOR_ADAPTER, FEATURE_EXTRACTOR_MERGE -> FEATURE_EXTRACTOR;
            default -> forAdaptedOnly ? null : this;
        };
    }

    /** How far apart the ends may be. */
    double tolerance(Trial trial) {
        return switch (this) {
            case CONVERT_TYPE -> Math.max(1e-3, trial.toleranceOfFloat());
            // DL4J's own transfer learning makes networks of single precision, and takes parameters through it.
            case FINE_TUNE, FEATURE_EXTRACTOR, FEATURE_EXTRACTOR_ADAPTER, FEATURE_EXTRACTOR_MERGE, FEATURIZED ->
                    trial.toleranceOfFloat();
            default -> trial.tolerance();
        };
    }

    boolean trainsTheSame(NetworkSpec spec) {
        return !spec.isRandom() && (training == Training.THE_SAME || training == Training.THE_SAME_WITHOUT_STATE && !spec.adam());
    }

    /** Of the parameters of the first network, which the second has too. */
    private static double gradientDistance(Trial trial, Model network, Model other) {
        if (trial.spec.isRandom()) {
            return 0;
        }
        Map<String, INDArray> expected = Gradients.of(other, trial.data());
        return Gradients.of(network, trial.data()).entrySet().stream()
                .mapToDouble(gradient -> Trial.distance(gradient.getValue(), expected.get(gradient.getKey()))).max().orElse(0);
    }

    private static String middle(ComputationGraph graph) {
        List<String> layers = Stream.of(graph.getLayers()).map(layer -> layer.conf().getLayer().getLayerName()).toList();
        return layers.get((layers.size() - 1) / 2);
    }

    private Model extracted(Trial trial, Model network) {
        try {
            return through(trial, network);
        } catch (RuntimeException e) {
            throw e;
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }
}
