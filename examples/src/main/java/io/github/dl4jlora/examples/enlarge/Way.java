package io.github.dl4jlora.examples.enlarge;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.learning.config.Adam;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** A way to teach a network. */
enum Way {

    /** Trains the last convolution alone. */
    HEAD("last layer", 4.6e-4) {
        @Override
        ComputationGraph prepare(ComputationGraph base, int rank, double rate, long seed) {
            Map<String, List<String>> inputs = base.getConfiguration().getVertexInputs();
            String last = inputs.get(LayersModel.LOSS).get(0);
            return new TransferLearning.GraphBuilder(base).fineTuneConfiguration(anew(rate, seed))
                    .setFeatureExtractor(inputs.get(last).toArray(String[]::new)).build();
        }
    },

    /** Trains adapters on all convolutions but those whose weights are smaller than an adapter. */
    LORA("LoRA", 1e-3) {
        @Override
        ComputationGraph prepare(ComputationGraph base, int rank, double rate, long seed) {
            String[] targets = convolutions(base).filter(convolution -> convolution.getNOut() > rank).map(Layer::getLayerName)
                    .toArray(String[]::new);
            return LoRA.apply(base, LoRAConfig.builder().rank(rank).alpha(2 * rank).scaling(Scaling.ALPHA_OVER_RANK)
                    .targets(targets).updater(new Adam(rate)).seed(seed).build());
        }

        @Override
        Path keep(ComputationGraph network, Path folder) throws IOException {
            Path kept = folder.resolve("adapter");
            LoRAAdapter.of(network).save(kept);
            return kept;
        }
    },

    /** Trains every weight. */
    FULL("full fine-tuning", 1e-4) {
        @Override
        ComputationGraph prepare(ComputationGraph base, int rank, double rate, long seed) {
            return new TransferLearning.GraphBuilder(base).fineTuneConfiguration(anew(rate, seed)).build();
        }
    };

    final String title;
    /** A rate at which it learns well here: a sweep suggests it, and the table in docs/models.md uses it. */
    final double usualRate;

    Way(String title, double usualRate) {
        this.title = title;
        this.usualRate = usualRate;
    }

    /** {@return a network to train, which computes what the base does; the base is not changed} */
    abstract ComputationGraph prepare(ComputationGraph base, int rank, double rate, long seed);

    /** {@return the path of what has to be kept of a trained network: its file, or its adapter's folder} */
    Path keep(ComputationGraph network, Path folder) throws IOException {
        Path kept = folder.resolve(title.replace(' ', '-') + ".zip");
        ModelSerializer.writeModel(network, kept.toFile(), false);
        return kept;
    }

    private static Stream<ConvolutionLayer> convolutions(ComputationGraph network) {
        return Arrays.stream(network.getLayers()).map(layer -> layer.conf().getLayer())
                .filter(ConvolutionLayer.class::isInstance).map(ConvolutionLayer.class::cast);
    }

    /** {@return the largest number of filters of a convolution; with a rank this high, nothing is adapted} */
    static long widest(ComputationGraph network) {
        return convolutions(network).mapToLong(ConvolutionLayer::getNOut).max().orElse(0);
    }

    private static FineTuneConfiguration anew(double rate, long seed) {
        return new FineTuneConfiguration.Builder().updater(new Adam(rate)).seed(seed).build();
    }
}
