package io.github.dl4jlora.zoo;

import io.github.dl4jlora.Models;
import io.github.dl4jlora.internal.keras.Growth;
import io.github.dl4jlora.internal.keras.StreamedKeras;
import org.deeplearning4j.nn.modelimport.keras.KerasModelImport;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Keras's layers one by one are those that DL4J imports, whatever it does to their weights. */
@Tag("heavy")
class StreamedKerasLayersTest {

    private static final String CONVOLUTION = "\"kernel_size\": [2, 2], \"strides\": [1, 1], \"padding\": \"valid\", "
            + "\"data_format\": \"channels_last\", \"dilation_rate\": [1, 1], \"activation\": \"relu\", \"use_bias\": true";
    private static final String RECURRENT = "\"activation\": \"tanh\", \"recurrent_activation\": \"sigmoid\", "
            + "\"use_bias\": true, \"unit_forget_bias\": true, \"return_state\": false, \"go_backwards\": false, "
            + "\"stateful\": false, \"unroll\": false, \"implementation\": 2, \"dropout\": 0.0, \"recurrent_dropout\": 0.0";

    @TempDir
    Path folder;

    private void check(KerasWriter model, int layers) throws Exception {
        Path file = folder.resolve("model.h5");
        model.write(file);
        MultiLayerNetwork expected = KerasModelImport.importKerasSequentialModelAndWeights(file.toString());

        List<INDArray> values = new ArrayList<>();
        StreamedKeras.open(file.toFile()).forEach((layer, array) -> values.add(array));

        assertThat(values).hasSize(layers);
        assertThat(Models.values(Nd4j.concat(0, values.toArray(INDArray[]::new)))).containsExactly(Models.params(expected));
    }

    private static String dense(int units) {
        return "\"units\": " + units + ", \"activation\": \"softmax\", \"use_bias\": true";
    }

    private static Map<String, long[]> dense(long in, long out) {
        return Map.of("kernel", new long[] {in, out}, "bias", new long[] {out});
    }

    @Test
    void convolutionsAndNormalisation() throws Exception {
        Map<String, long[]> norm = Map.of("beta", new long[] {3}, "moving_mean", new long[] {3},
                "moving_variance", new long[] {3});
        check(new KerasWriter()
                .layer("Conv2D", "conv", "\"batch_input_shape\": [null, 8, 8, 2], \"filters\": 3, " + CONVOLUTION,
                        Map.of("kernel", new long[] {2, 2, 2, 3}, "bias", new long[] {3}))
                .layer("BatchNormalization", "norm", "\"axis\": 3, \"momentum\": 0.99, \"epsilon\": 0.001, "
                        + "\"center\": true, \"scale\": false", norm)
                .layer("SeparableConv2D", "separable", "\"filters\": 4, \"depth_multiplier\": 1, " + CONVOLUTION,
                        Map.of("depthwise_kernel", new long[] {2, 2, 3, 1}, "pointwise_kernel", new long[] {1, 1, 3, 4},
                                "bias", new long[] {4}))
                .layer("Flatten", "flat", "\"data_format\": \"channels_last\"", Map.of())
                .layer("Dense", "out", dense(3), dense(144, 3)), 4);
    }

    @Test
    void recurrentLayersInBothDirections() throws Exception {
        Map<String, long[]> both = new LinkedHashMap<>();
        for (String direction : List.of("forward_lstm", "backward_lstm")) {
            both.put(direction + "/kernel", new long[] {5, 16});
            both.put(direction + "/recurrent_kernel", new long[] {4, 16});
            both.put(direction + "/bias", new long[] {16});
        }
        String lstm = KerasWriter.json("LSTM", "lstm", "\"units\": 4, \"return_sequences\": true, " + RECURRENT);
        check(new KerasWriter()
                .layer("Embedding", "words", "\"input_dim\": 9, \"output_dim\": 5, \"batch_input_shape\": [null, 6], "
                        + "\"input_length\": 6, \"mask_zero\": false, \"dtype\": \"float32\"",
                        Map.of("embeddings", new long[] {9, 5}))
                .layer("Bidirectional", "bidirectional", "\"merge_mode\": \"concat\", \"layer\": " + lstm, both)
                .layer("SimpleRNN", "simple", "\"units\": 3, \"return_sequences\": false, " + RECURRENT,
                        Map.of("kernel", new long[] {8, 3}, "recurrent_kernel", new long[] {3, 3}, "bias", new long[] {3}))
                .layer("Dense", "out", dense(2), dense(3, 2)), 4);
    }

    /** 164 MB in sixteen layers. */
    @Test
    @EnabledOnOs(OS.LINUX)
    void noMoreThanALayerAndWhatItIsMadeOfIsInMemory() throws Exception {
        int wide = 1600;
        int layers = 16;
        KerasWriter model = new KerasWriter();
        for (int i = 0; i < layers; i++) {
            model.layer("Dense", "dense" + i, (i == 0 ? "\"batch_input_shape\": [null, " + wide + "], " : "") + dense(wide),
                    dense(wide, wide));
        }
        Path file = folder.resolve("large.h5");
        model.write(file);

        assertThat(Growth.of(file.toFile(), false, folder.resolve("log"))).isLessThan(4L * layers * wide * wide / 2);
    }
}
