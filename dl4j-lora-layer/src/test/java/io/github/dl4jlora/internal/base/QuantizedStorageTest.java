package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.StoredForm.Part;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.withinPercentage;

/** A layer of a matrix in fewer bits between two vectors that stay as they are. */
class QuantizedStorageTest {

    private static final int LINES = 6;
    private static final int LENGTH = 70;
    private static final int ALL = 3 + LINES * LENGTH + 5;

    private final INDArray values = Networks.random(DataType.FLOAT, 7, ALL);
    private final FrozenWeights original = FrozenWeights.unregisteredOwn(values, table());

    private Map<String, INDArray> table() {
        Map<String, INDArray> table = new LinkedHashMap<>();
        table.put("a", values.get(NDArrayIndex.interval(0, 3)).reshape(1, 3));
        table.put("m", values.get(NDArrayIndex.interval(3, 3 + LINES * LENGTH)).reshape(LINES, LENGTH));
        table.put("z", values.get(NDArrayIndex.interval(3 + LINES * LENGTH, ALL)).reshape(1, 5));
        return table;
    }

    private FrozenWeights quantized(Quantization scheme, boolean interleaved) {
        return original.quantized(scheme, List.of(new Part("a", 0, 3, false), interleaved ? new Part("m", LENGTH, LINES, true)
                : new Part("m", LINES, LENGTH, false), new Part("z", 0, 5, false)));
    }

    @ParameterizedTest
    @CsvSource({"BF16, false, 0.002", "BF16, true, 0.002", "INT8, false, 0.02", "INT8, true, 0.02",
        "NF4, false, 0.2", "NF4, true, 0.2"})
    void restoredValuesAreCloseAndWhatStaysIsExact(Quantization scheme, boolean interleaved, double error) {
        FrozenWeights stored = quantized(scheme, interleaved);

        INDArray restored = stored.values();

        assertThat(restored.shape()).containsExactly(ALL);
        assertThat(restored.get(NDArrayIndex.interval(0, 3))).isEqualTo(values.get(NDArrayIndex.interval(0, 3)));
        assertThat(restored.get(NDArrayIndex.interval(ALL - 5, ALL))).isEqualTo(values.get(NDArrayIndex.interval(ALL - 5, ALL)));
        double lost = restored.distance2(values);
        double norm = table().get("m").norm2Number().doubleValue();
        assertThat(lost / norm).isBetween(1e-6, error);
        assertThat(stored.errors()).containsOnlyKeys("m");
        assertThat(stored.errors().get("m")).isCloseTo(lost / norm, withinPercentage(1));
        INDArray difference = stored.lost(original, "m");
        assertThat(difference.shape()).containsExactly(interleaved ? LINES : LENGTH, interleaved ? LENGTH : LINES);
        INDArray expected = table().get("m").sub(restored.get(NDArrayIndex.interval(3, ALL - 5)).reshape(LINES, LENGTH));
        assertThat(Networks.difference(interleaved ? difference : difference.transpose(), expected)).isLessThan(1e-6);
        assertThat(stored.valuesAs(DataType.DOUBLE).dataType()).isEqualTo(DataType.DOUBLE);
    }

    @Test
    void itTellsWhatItIsAndWhatItTakes() {
        FrozenWeights stored = quantized(Quantization.INT8, false);

        assertThat(stored.baseId()).isEqualTo(original.id()).isNotEqualTo(stored.id());
        assertThat(original.baseId()).isEqualTo(original.id());
        assertThat(stored.scheme()).isEqualTo(Quantization.INT8);
        assertThat(original.scheme()).isNull();
        assertThat(stored.storedAs()).isEqualTo("INT8");
        assertThat(original.storedAs()).isEqualTo("FLOAT");
        assertThat(stored.signature()).isEqualTo(original.signature()).isEqualTo("FLOAT a[1,3] m[6,70] z[1,5]");
        assertThat(stored.length()).isEqualTo(original.length()).isEqualTo(ALL);
        assertThat(stored.dataType()).isEqualTo(DataType.FLOAT);
        assertThat(original.bytes()).isEqualTo(ALL * 4);
        assertThat(stored.bytes()).isEqualTo(stored.quantized("m").bytes() + 8 * 4);
        assertThat(stored.quantized("a")).isNull();
        assertThat(original.quantized("m")).isNull();
        assertThat(stored.isOwn()).isTrue();
        assertThat(stored.parts()).isEqualTo(3);
        assertThat(original.parts()).isEqualTo(1);
        assertThat(original.errors()).isEmpty();
        assertThat(original.rest(DataType.FLOAT)).isNull();
        Map<String, INDArray> rest = stored.rest(DataType.DOUBLE);
        assertThat(rest).containsOnlyKeys("a", "z");
        assertThat(rest.get("a")).isEqualTo(table().get("a").castTo(DataType.DOUBLE));
        stored.verify("fc");
        stored.requireUnmoved("fc");
        stored.requireOpen("fc");
        assertThat(stored.isIntact()).isTrue();
    }

    @Test
    void everyBitOfItCountsInItsId() {
        FrozenWeights stored = quantized(Quantization.INT8, false);
        String signature = original.signature();
        Map<String, INDArray> rest = stored.rest(DataType.FLOAT);
        Map<String, INDArray> flat = new LinkedHashMap<>();
        rest.forEach((key, array) -> flat.put(key, array.reshape(array.length())));
        Map<String, QuantizedMatrix> matrices = Map.of("m", stored.quantized("m"));
        assertThat(hash(stored.form(), matrices, flat)).isEqualTo(stored.id());
        StoredForm ofAnotherBase = new StoredForm(Quantization.INT8, "another", stored.form().parts());
        assertThat(hash(ofAnotherBase, matrices, flat)).as("what it was made of").isNotEqualTo(stored.id());
        FrozenWeights negated = FrozenWeights.unregisteredOwn(values.neg(), table());
        Map<String, QuantizedMatrix> others = Map.of("m",
                negated.quantized(Quantization.INT8, stored.form().parts()).quantized("m"));
        assertThat(hash(stored.form(), others, flat)).as("the codes alone").isNotEqualTo(stored.id());

        flat.get("z").putScalar(4, 9);
        assertThat(hash(stored.form(), matrices, flat)).as("what stays as it is").isNotEqualTo(stored.id());
        assertThat(quantized(Quantization.NF4, false).id()).as("the scheme").isNotEqualTo(stored.id());
        INDArray other = values.dup();
        other.putScalar(100, 3);
        assertThat(FrozenWeights.unregisteredOwn(other, table()).quantized(Quantization.INT8, stored.form().parts()).id())
                .as("base and codes").isNotEqualTo(stored.id());
        assertThat(signature).isEqualTo(stored.signature());
    }

    private String hash(StoredForm form, Map<String, QuantizedMatrix> matrices, Map<String, INDArray> rest) {
        QuantizedStorage storage = new QuantizedStorage(form, Signature.of(original.signature()), matrices, rest, Map.of());
        try {
            return FrozenWeights.read(storage, original.signature(), "none").id();
        } catch (IllegalArgumentException e) {
            return e.getMessage().substring(e.getMessage().length() - 64);
        }
    }

    @Test
    void whatIsQuantisedAlreadyOrOfOtherParametersIsRefused() {
        FrozenWeights stored = quantized(Quantization.INT8, false);

        assertThatIllegalArgumentException().isThrownBy(() -> stored.quantized(Quantization.NF4, stored.form().parts()))
                .withMessageContaining("already kept as INT8");
        assertThatIllegalArgumentException().isThrownBy(() -> original.quantized(Quantization.NF4,
                List.of(new Part("m", LINES, LENGTH, false)))).withMessageContaining("do not match the parameters");
    }

    @Test
    void whoAsksForTheSameFormGetsTheSameWeights() {
        FrozenWeights stored = quantized(Quantization.NF4, true);

        assertThat(quantized(Quantization.NF4, true)).isSameAs(stored);
        assertThat(quantized(Quantization.NF4, false)).isNotSameAs(stored);
        assertThat(FrozenWeightsRegistry.find(stored.id())).containsSame(stored);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void itIsReadAgainAsItWasWritten(boolean array) throws IOException {
        FrozenWeights weights = array ? original : quantized(Quantization.INT8, false);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        weights.write(out);
        byte[] bytes = out.toByteArray();
        StoredWeights stored = StoredWeights.of(weights);
        assertThat((long) bytes.length).isEqualTo(stored.bytes());

        FrozenWeights read = stored.read(new ByteArrayInputStream(bytes), weights.id());

        assertThat(read.id()).isEqualTo(weights.id());
        assertThat(read.values()).isEqualTo(weights.values());
        assertThatThrownBy(() -> stored.read(new ByteArrayInputStream(Arrays.copyOf(bytes, bytes.length - 1)), weights.id()))
                .isInstanceOf(IOException.class).hasMessageContaining("end early");
        assertThatThrownBy(() -> stored.read(new ByteArrayInputStream(Arrays.copyOf(bytes, bytes.length + 1)), weights.id()))
                .isInstanceOf(IOException.class).hasMessageContaining("followed by surplus");
        assertThatIllegalArgumentException().isThrownBy(() -> stored.read(new ByteArrayInputStream(bytes), "f".repeat(64)))
                .withMessageContainingAll("f".repeat(64), "hash to " + weights.id());
    }

    @Test
    void anEntryWithoutSignatureOrErrorsIsRefused() {
        assertThatIllegalArgumentException().isThrownBy(() -> new StoredWeights(null, null, Map.of()))
                .withMessageContaining("without signature");
        assertThatIllegalArgumentException().isThrownBy(() -> new StoredWeights("FLOAT W[1]", null, null))
                .withMessageContaining("without signature or errors");
        assertThatIllegalArgumentException().isThrownBy(() -> new StoredWeights("nonsense", null, Map.of()));
        assertThatIllegalArgumentException().isThrownBy(() -> new StoredWeights("FLOAT W[1]",
                quantized(Quantization.INT8, false).form(), Map.of())).withMessageContaining("do not match the parameters");
    }

    /** As many lines as are read at a time, one more, and lines that are longer than all that. */
    @ParameterizedTest
    @CsvSource({"131072, 2", "131072, 5", "262145, 2", "3, 7"})
    void linesAreReadInTheirOrderHoweverManyFitIntoABlock(int length, int lines) {
        INDArray columns = Nd4j.arange(0, (long) length * lines).castTo(DataType.DOUBLE).reshape('f', length, lines);
        LineReader reader = new LineReader(columns);
        float[] line = new float[length];

        for (int i = 0; i < lines; i++) {
            reader.read(i, line);

            assertThat(line[0]).isEqualTo((float) ((long) i * length));
            assertThat(line[length - 1]).isEqualTo((float) ((long) i * length + length - 1));
        }
    }
}
