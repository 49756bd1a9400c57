package io.github.dl4jlora.internal.frozen;

import io.github.dl4jlora.DoublePrecision;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.layer.DeltaLayersTest;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.MultiLayerConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.GravesBidirectionalLSTM;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.recurrent.LastTimeStep;
import org.deeplearning4j.nn.conf.layers.util.MaskZeroLayer;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

import static io.github.dl4jlora.LayerChains.builder;
import static io.github.dl4jlora.LayerChains.chain;
import static io.github.dl4jlora.LayerChains.dense;
import static io.github.dl4jlora.LayerChains.features;
import static io.github.dl4jlora.LayerChains.named;
import static io.github.dl4jlora.LayerChains.output;
import static org.assertj.core.api.Assertions.assertThat;

/**
 * Any layer on a mapped file does what it does on an array, frozen and adapted. A write to a mapped file ends the JVM, and this
 * test with it: the class that stands last in the output of the run then wrote.
 */
@ExtendWith(DoublePrecision.class) // DL4J's layer normalisation and simple RNN take the default type for the network's
@Tag("heavy")
class MappedLayersTest {

    private static final LoRAConfig DENSE = config().targets("fc.*").build();
    private static final LoRAConfig ALL = config().targets("fc1|lora.*").build();

    @TempDir
    private Path folder;

    private static LoRAConfig.Builder config() {
        return LoRAConfig.builder().rank(2).alpha(1.5).updater(new Sgd(0.1));
    }

    /** Frozen, and adapted. */
    static Stream<Arguments> layers() {
        return Stream.concat(with(DENSE, ", frozen", frozen()), with(ALL, ", adapted", DeltaLayersTest.layers()));
    }

    private static Stream<Arguments> with(LoRAConfig config, String says, Stream<Arguments> layers) {
        return layers.map(Arguments::get).map(layer -> Arguments.of(layer[0] + says, config, layer[1], layer[2], layer[3]));
    }

    private static Stream<Arguments> frozen() {
        return Stream.concat(AnyLayerFrozenTest.layers(), Stream.of(
                series("bidirectional", bidirectional()),
                series("bidirectional in a mask", new MaskZeroLayer(bidirectional(), 0)),
                series("bidirectional in DL4J's own freezing", new FrozenLayer(bidirectional())),
                series("bidirectional in two wrappers", new MaskZeroLayer(new FrozenLayerWithBackprop(bidirectional()), 0)),
                series("Graves bidirectional", graves()),
                Arguments.of("last step of a bidirectional", features(1, 3, 5, 4), features(2, 3, 3),
                        chain(InputType.recurrent(5), new LastTimeStep(bidirectional()), output("fc_out"))),
                Arguments.of("one class", features(1, 3, 5), features(2, 3, 1),
                        chain(InputType.feedForward(5), named(dense(4), "fc2"), oneClass()))));
    }

    @SuppressWarnings("deprecation")
    private static org.deeplearning4j.nn.conf.layers.Layer graves() {
        return new GravesBidirectionalLSTM.Builder().nIn(9).nOut(4).build();
    }

    private static Bidirectional bidirectional() {
        return new Bidirectional(Bidirectional.Mode.ADD, new LSTM.Builder().nIn(9).nOut(4).build());
    }

    private static OCNNOutputLayer oneClass() {
        return new OCNNOutputLayer.Builder().nIn(4).hiddenLayerSize(3).nu(0.1).windowSize(5).build();
    }

    private static Arguments series(String name, org.deeplearning4j.nn.conf.layers.Layer layer) {
        return Arguments.of(name, features(1, 3, 5, 4), features(2, 3, 3, 4), chain(InputType.recurrent(5),
                layer, new RnnOutputLayer.Builder(LossFunction.MSE).nOut(3).name("fc_out").build()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void computesAndTrainsAsOnAnArray(String name, LoRAConfig config, INDArray features, INDArray labels,
            MultiLayerConfiguration conf) throws IOException {
        assertAlike(conf, config, new DataSet(features, labels), null, Quantization.INT8);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("layers")
    void computesAndTrainsAsOnAnArrayInHalfTheBits(String name, LoRAConfig config, INDArray features, INDArray labels,
            MultiLayerConfiguration conf) throws IOException {
        assertAlike(conf, config, new DataSet(features, labels), Quantization.BF16);
    }

    /** @param schemes null: values as they are */
    private void assertAlike(MultiLayerConfiguration conf, LoRAConfig config, DataSet data, Quantization... schemes)
            throws IOException {
        MultiLayerNetwork base = Networks.of(conf.clone());
        fit(base, data);
        double[] before = base.params().toDoubleVector();
        for (Quantization scheme : schemes) {
            Path file = folder.resolve("base-" + scheme);
            LoRA.writeBase(base, file, scheme);
            MultiLayerNetwork opened = LoRA.openMultiLayerNetworkBase(file);
            MultiLayerNetwork array = LoRA.freeze(base, scheme);
            Networks.assertSame("frozen, " + scheme, computed(opened, data), computed(array, data));
            Networks.assertSame("clone, " + scheme, computed(opened.clone(), data), computed(array, data));

            MultiLayerNetwork tuned = LoRA.apply(opened, config);
            MultiLayerNetwork twin = LoRA.apply(array, config);
            twin.setParams(tuned.params().dup());
            fit(tuned, data);
            fit(twin, data);

            Networks.assertSame("parameters after training, " + scheme, tuned.params(), twin.params());
            Networks.assertSame("output after training, " + scheme, computed(tuned, data), computed(twin, data));
            Networks.assertSame("merged, " + scheme, LoRA.merge(tuned).params(), LoRA.merge(twin).params());
            Networks.assertSame("unloaded, " + scheme, LoRA.unload(tuned).params(), LoRA.unload(twin).params());
            if (scheme == null) {
                Networks.assertSame("unloaded as the base was", LoRA.unload(tuned).params(), base.params());
            }
            Networks.assertSame("attached, " + scheme, computed(LoRA.apply(opened, LoRAAdapter.of(tuned)), data),
                    computed(tuned, data));
            assertThat(BaseValues.verified(tuned)).as("layers whose values are what they were").isNotEmpty();
        }
        assertThat(base.params().toDoubleVector()).as("base after training").containsExactly(before);
    }

    /** Some layers do something new when an epoch ends. */
    private static void fit(MultiLayerNetwork network, DataSet data) {
        network.fit(new ExistingDataSetIterator(List.of(data.copy())), 2);
    }

    private static INDArray computed(MultiLayerNetwork network, DataSet data) {
        return network.output(data.getFeatures().dup()).dup();
    }
}
