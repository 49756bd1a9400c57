package io.github.dl4jlora.internal.content;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.exception.AdapterFormatException;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.Convolution1DLayer;
import org.deeplearning4j.nn.conf.layers.ConvolutionLayer;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.EmbeddingLayer;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Arrays;
import java.util.Map;
import java.util.Set;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Where each number of A, B and of a trained layer lies in a file of PEFT's. */
class TensorLayoutTest {

    private static final DenseLayer DENSE = new DenseLayer.Builder().nIn(3).nOut(2).build();
    private static final Convolution1DLayer SEQUENCE = new Convolution1DLayer.Builder(4).nIn(3).nOut(2).build();
    private static final ConvolutionLayer IMAGE = new ConvolutionLayer.Builder(2, 5).nIn(3).nOut(2).build();

    private static long[] shape(String sizes) {
        return Arrays.stream(sizes.split("x")).mapToLong(Long::parseLong).toArray();
    }

    @ParameterizedTest
    @CsvSource({"2x6, 5x2, false", "2x6, 5x2, true", "2x6x3, 5x2x1, false", "2x6x3x3, 5x2x1x1, false",
        "2x6x3x3x3, 5x2x1x1x1, false"})
    void matricesAndConvolutionsOfUpToThreeDimensionsAreRead(String a, String b, boolean embedding)
            throws AdapterFormatException {
        TensorLayout layout = TensorLayout.of("fc", embedding, shape(a), shape(b));

        assertThat(layout.embedding()).isEqualTo(embedding);
        assertThat(layout.kernel()).hasSize(shape(a).length - 2);
    }

    @ParameterizedTest
    @CsvSource({"12, 10, false", "2x6x3x3x3x3, 5x2x1x1x1x1, false", "2x6x3, 5x2x1, true", "2x6x3, 5x2x3, false",
        "2x6x3, 5x2, false", "0x6, 5x0, false", "2x6x0, 5x2x1, false"})
    void otherShapesAreRefusedByTheLayersName(String a, String b, boolean embedding) {
        assertThatThrownBy(() -> TensorLayout.of("fc", embedding, shape(a), shape(b))).isInstanceOf(AdapterFormatException.class)
                .hasMessageContainingAll("\"fc\"", Arrays.toString(shape(a)), Arrays.toString(shape(b)));
    }

    @Test
    void aLayersLayoutIsItsKinds() {
        assertThat(TensorLayout.of(DENSE)).isEqualTo(TensorLayout.LINEAR);
        assertThat(TensorLayout.of(new EmbeddingLayer())).isEqualTo(TensorLayout.EMBEDDING);
        assertThat(TensorLayout.of(SEQUENCE).kernel()).containsExactly(4L);
        assertThat(TensorLayout.of(IMAGE).kernel()).containsExactly(2L, 5L);
        assertThat(TensorLayout.of((Layer) null).isInPeft()).isFalse();
        assertThat(TensorLayout.of(new BatchNormalization()).isInPeft()).isFalse();
        assertThat(TensorLayout.LINEAR).hasToString("a matrix").isNotEqualTo(TensorLayout.EMBEDDING);
        assertThat(TensorLayout.EMBEDDING).hasToString("an embedding");
        assertThat(TensorLayout.of(IMAGE)).hasToString("a convolution with a kernel of [2, 5]");
        assertThat(TensorLayout.LINEAR.isLike(TensorLayout.of(new BatchNormalization()))).isTrue();
        assertThat(TensorLayout.LINEAR.isLike(TensorLayout.EMBEDDING)).isFalse();
        assertThat(TensorLayout.LINEAR.isLike(TensorLayout.of(IMAGE))).isFalse();
    }

    /** A's rows go through the kernel fastest, those of a kernel of one dimension through nIn. */
    @Test
    void aAndBGoThroughTheKernelAsTheWeightsOfDl4jDo() {
        INDArray a = Networks.random(DataType.FLOAT, 1, 3 * 4, 2);
        INDArray ofSequence = TensorLayout.of(SEQUENCE).fileA(a);
        INDArray large = Networks.random(DataType.FLOAT, 2, 3 * 2 * 5, 2);
        INDArray ofImage = TensorLayout.of(IMAGE).fileA(large);
        INDArray b = Networks.random(DataType.FLOAT, 3, 2, 7);

        assertThat(ofSequence.shape()).containsExactly(2, 3, 4);
        assertThat(ofSequence.getFloat(1, 2, 3)).isEqualTo(a.getFloat(3 * 3 + 2, 1));
        assertThat(TensorLayout.of(SEQUENCE).a(ofSequence)).isEqualTo(a);
        assertThat(ofImage.shape()).containsExactly(2, 3, 2, 5);
        assertThat(ofImage.getFloat(1, 2, 1, 4)).isEqualTo(large.getFloat(2 * 10 + 5 + 4, 1));
        assertThat(TensorLayout.of(IMAGE).a(ofImage)).isEqualTo(large);
        assertThat(TensorLayout.of(IMAGE).fileB(b).shape()).containsExactly(7, 2, 1, 1);
        assertThat(TensorLayout.of(IMAGE).b(TensorLayout.of(IMAGE).fileB(b))).isEqualTo(b);
        assertThat(TensorLayout.LINEAR.fileA(a)).isEqualTo(a.transpose());
        assertThat(TensorLayout.LINEAR.weight(a)).isSameAs(a);
        assertThat(TensorLayout.of(IMAGE).weight(large)).isEqualTo(ofImage);
    }

    @ParameterizedTest
    @CsvSource({"1x7x1, true", "1x7x1x1x1, true", "1x7, false", "1x7x1x1x1x1, false", "2x7x1, false", "1x7x2, false"})
    void aMagnitudeOfAConvolutionHasItsKernelsDimensions(String shape, boolean is) {
        assertThat(TensorLayout.isFileMagnitude(shape(shape))).isEqualTo(is);
    }

    @Test
    void magnitudesAreVectorsButForConvolutions() {
        INDArray m = Networks.random(DataType.FLOAT, 1, 1, 7);

        assertThat(TensorLayout.LINEAR.fileMagnitude(m).shape()).containsExactly(7);
        assertThat(TensorLayout.of(IMAGE).fileMagnitude(m).shape()).containsExactly(1, 7, 1, 1);
    }

    private static INDArray there(Layer layer, String key, INDArray value) {
        return TorchLayout.toTorch(layer, key, value);
    }

    private static void comesBack(Layer layer, String key, INDArray value) {
        Map<String, String> keys = TorchLayout.keysByName(layer, Set.of("W", "b"));
        String name = keys.entrySet().stream().filter(entry -> entry.getValue().equals(key)).findFirst().orElseThrow().getKey();

        assertThat(TorchLayout.fromTorch(layer, keys, name, there(layer, key, value), value)).isEqualTo(value);
    }

    @Test
    void trainedWeightsAreTurnedAsPytorchHasThem() {
        INDArray dense = Networks.random(DataType.FLOAT, 1, 3, 2);
        INDArray bias = Networks.random(DataType.FLOAT, 2, 1, 2);
        INDArray image = Networks.random(DataType.FLOAT, 3, 2, 3, 2, 5);
        INDArray sequence = Networks.random(DataType.FLOAT, 4, 2, 3, 4, 1);

        assertThat(TorchLayout.keysByName(DENSE, Set.of("W", "b"))).isEqualTo(Map.of("weight", "W", "bias", "b"));
        assertThat(there(DENSE, "W", dense)).isEqualTo(dense.transpose());
        assertThat(there(DENSE, "b", bias)).isEqualTo(bias.reshape(2));
        assertThat(there(IMAGE, "W", image)).isEqualTo(image);
        assertThat(there(SEQUENCE, "W", sequence).shape()).containsExactly(2, 3, 4);
        comesBack(DENSE, "W", dense);
        comesBack(DENSE, "b", bias);
        comesBack(IMAGE, "W", image);
        comesBack(SEQUENCE, "W", sequence);
        assertThatIllegalArgumentException().isThrownBy(() -> TorchLayout.fromTorch(DENSE, Map.of("weight", "W"), "weight", dense,
                dense)).withMessage("has shape [3, 2], but the network's layer needs [2, 3]");
    }

    @Test
    void whatPytorchHasNoLikeOfKeepsItsNamesAndVectorsTheirShape() {
        Map<String, String> keys = TorchLayout.keysByName(null, Set.of("V"));
        INDArray row = Networks.random(DataType.FLOAT, 1, 1, 4);
        INDArray matrix = Networks.random(DataType.FLOAT, 1, 3, 4);

        assertThat(keys).isEqualTo(Map.of("V", "V"));
        assertThat(TorchLayout.fromTorch(null, keys, "V", row.reshape(4), row)).isEqualTo(row);
        assertThat(TorchLayout.fromTorch(null, keys, "V", matrix, matrix)).isSameAs(matrix);
        for (INDArray other : new INDArray[] {matrix.transpose(), Nd4j.zeros(DataType.FLOAT, 5)}) {
            assertThatIllegalArgumentException().isThrownBy(() -> TorchLayout.fromTorch(null, keys, "V", other, matrix))
                    .withMessageContaining("needs [3, 4]");
        }
        assertThatIllegalArgumentException().isThrownBy(() -> TorchLayout.fromTorch(null, keys, "V", Nd4j.zeros(5), row))
                .withMessageContaining("needs [1, 4]");
    }

    /** DL4J keeps log10 of the deviation where PyTorch keeps the variance. */
    @Test
    void theVarianceOfABatchNormalisationIsToldAsPytorchTellsIt() {
        BatchNormalization layer = new BatchNormalization();
        Map<String, String> keys = TorchLayout.keysByName(layer, Set.of("gamma", "beta", "mean", "log10stdev"));
        INDArray deviations = Nd4j.createFromArray(new float[][] {{0, 1, -0.5f}});

        INDArray variances = TorchLayout.toTorch(layer, "log10stdev", deviations);

        assertThat(keys).containsEntry("running_var", "log10stdev").containsEntry("weight", "gamma")
                .containsEntry("bias", "beta");
        assertThat(variances.shape()).containsExactly(3);
        assertThat(Networks.difference(variances, Nd4j.createFromArray(1f, 100f, 0.1f))).isLessThan(1e-5);
        assertThat(Networks.difference(TorchLayout.fromTorch(layer, keys, "running_var", variances, deviations), deviations))
                .isLessThan(1e-6);
    }

    /** PyTorch computes with one, as for a channel that is always 0. */
    @Test
    void aVarianceOfZeroIsReadAndOneBelowItIsRefused() {
        BatchNormalization layer = new BatchNormalization();
        Map<String, String> keys = TorchLayout.keysByName(layer, Set.of("gamma", "beta", "mean", "log10stdev"));
        INDArray like = Nd4j.zeros(1, 2);

        INDArray read = TorchLayout.fromTorch(layer, keys, "running_var", Nd4j.createFromArray(0f, 1f), like);

        assertThat(Double.isFinite(read.getDouble(0))).isTrue();
        assertThat(Networks.difference(TorchLayout.toTorch(layer, "log10stdev", read), Nd4j.createFromArray(0f, 1f)))
                .isLessThan(1e-6);
        assertThatThrownBy(() -> TorchLayout.fromTorch(layer, keys, "running_var", Nd4j.createFromArray(-0.5f, 1f), like))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("has the variance -0.5");
    }
}
