package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.base.MappedLayer.Section;
import io.github.dl4jlora.internal.base.StoredForm.Part;
import io.github.dl4jlora.internal.quantized.QuantizedMatrix;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** How the parameters of a layer are cut into lines, and where their pieces lie in a file. */
class StoredFormTest {

    private static final Part MATRIX = new Part("W", 3, 4, true);
    private static final Part VECTOR = new Part("b", 0, 5, false);
    private static final StoredForm FORM = new StoredForm(Quantization.INT8, "abc", List.of(MATRIX, VECTOR));
    private static final String SIGNATURE = "FLOAT W[4,3] b[1,5]";

    @ParameterizedTest
    @CsvSource({"-1, 4", "3, 0", "3, -1", "9223372036854775807, 2", "2, 4611686018427387904", ", 4"})
    void partsOfSizesThatCannotBeAreRefused(Long lines, long length) {
        assertThatIllegalArgumentException().isThrownBy(() -> new Part(lines == null ? null : "W",
                lines == null ? 1 : lines, length, false)).withMessageContaining("values");
    }

    @Test
    void sizesAreCountedUpToTheLargestNumber() {
        assertThat(new Part("W", Long.MAX_VALUE / 2, 2, false).size()).isEqualTo(Long.MAX_VALUE - 1);
        assertThat(new Part("W", Long.MAX_VALUE, 1, false).size()).isEqualTo(Long.MAX_VALUE);
        assertThat(MATRIX.size()).isEqualTo(12);
        assertThat(MATRIX.isQuantized()).isTrue();
        assertThat(VECTOR.size()).isEqualTo(5);
        assertThat(VECTOR.isQuantized()).isFalse();
        assertThat(FORM.length()).isEqualTo(17);
        assertThatThrownBy(() -> new StoredForm(Quantization.INT8, "abc",
                List.of(new Part("W", 1, Long.MAX_VALUE, false), VECTOR))).isInstanceOf(ArithmeticException.class);
    }

    @Test
    void bytesAreThoseOfTheSchemeOrOfTheType() {
        assertThat(VECTOR.bytes(Quantization.INT8, DataType.DOUBLE)).isEqualTo(40);
        assertThat(MATRIX.bytes(Quantization.NF4, DataType.DOUBLE)).isEqualTo(QuantizedMatrix.bytes(Quantization.NF4, 3, 4));
        assertThat(new StoredWeights(SIGNATURE, FORM, Map.of()).lengths())
                .containsExactly(QuantizedMatrix.bytes(Quantization.INT8, 3, 4), 20L);
        assertThat(new StoredWeights(SIGNATURE, FORM, Map.of()).bytes())
                .isEqualTo(QuantizedMatrix.bytes(Quantization.INT8, 3, 4) + 20);
        assertThat(new StoredWeights("HALF W[4,3]", null, Map.of()).lengths()).containsExactly(24L);
    }

    @Test
    void aDescriptionNamesAllThatMakesTheValues() {
        assertThat(FORM.text()).isEqualTo("INT8 of abc W[3,4,interleaved] b[0,5]");
        assertThat(FORM.part("b")).isSameAs(VECTOR);
        assertThatThrownBy(() -> FORM.part("c")).isInstanceOf(NoSuchElementException.class);
    }

    @Test
    void aDescriptionThatLacksSomethingIsRefused() {
        for (Runnable damaged : List.<Runnable>of(() -> new StoredForm(null, "abc", List.of()),
                () -> new StoredForm(Quantization.NF4, null, List.of()), () -> new StoredForm(Quantization.NF4, "abc", null),
                () -> new StoredForm(Quantization.NF4, "abc", Arrays.asList(MATRIX, null)))) {
            assertThatIllegalArgumentException().isThrownBy(damaged::run).withMessageContaining("is damaged");
        }
    }

    @Test
    void aFormOfOtherNamesOrSizesThanTheSignaturesIsRefused() {
        new StoredWeights(SIGNATURE, FORM, Map.of());

        for (List<Part> parts : List.of(List.of(MATRIX, new Part("c", 0, 5, false)),
                List.of(MATRIX, new Part("b", 0, 6, false)), List.of(MATRIX, MATRIX),
                List.of(new Part("W", 5, 3, true), VECTOR))) {
            StoredForm other = new StoredForm(Quantization.INT8, "abc", parts);

            assertThatIllegalArgumentException().isThrownBy(() -> new StoredWeights(SIGNATURE, other, Map.of()))
                    .withMessageContaining("do not match the parameters");
        }
    }

    private static List<Part> parts(INDArray flat, Map<String, INDArray> table, Map<String, INDArray> matrices) {
        return StoredForm.parts(flat, table, matrices);
    }

    private static INDArray view(INDArray flat, long from, char order, long... shape) {
        long length = Arrays.stream(shape).reduce(1, (a, b) -> a * b);
        return flat.get(NDArrayIndex.interval(from, from + length)).reshape(order, shape);
    }

    @Test
    void linesLieOneAfterTheOtherOrInterleaved() {
        // Of a longer vector: a layer does not begin at 0.
        INDArray flat = Nd4j.arange(0, 20).castTo(DataType.FLOAT).get(NDArrayIndex.interval(3, 20));
        Map<String, INDArray> table = new LinkedHashMap<>();
        table.put("b", view(flat, 12, 'c', 1, 5));
        INDArray columns = view(flat, 0, 'f', 4, 3);
        INDArray rows = view(flat, 0, 'c', 4, 3);

        table.put("W", columns);
        assertThat(parts(flat, table, Map.of("W", columns))).containsExactly(new Part("W", 3, 4, false), VECTOR);
        assertThat(parts(flat, table, Map.of("W", columns.transpose()))).containsExactly(new Part("W", 4, 3, true), VECTOR);
        table.put("W", rows);
        assertThat(parts(flat, table, Map.of("W", rows))).containsExactly(MATRIX, VECTOR);
        assertThat(parts(flat, table, Map.of())).containsExactly(new Part("W", 0, 12, false), VECTOR);
    }

    @Test
    void aMatrixOfOneLineOrOfLinesOfOneValueLiesBothWays() {
        INDArray flat = Nd4j.arange(0, 4).castTo(DataType.FLOAT);
        INDArray column = view(flat, 0, 'f', 4, 1);
        INDArray row = view(flat, 0, 'c', 1, 4);

        assertThat(parts(flat, Map.of("W", column), Map.of("W", column))).containsExactly(new Part("W", 1, 4, false));
        assertThat(parts(flat, Map.of("W", row), Map.of("W", row))).containsExactly(new Part("W", 4, 1, false));
    }

    @Test
    void whatLiesOtherwiseOrLeavesGapsHasNoParts() {
        INDArray flat = Nd4j.arange(0, 24).castTo(DataType.FLOAT);
        INDArray strided = Nd4j.create(flat.data(), new long[] {4, 3}, new long[] {2, 8}, 0, 'f');
        INDArray wide = Nd4j.create(flat.data(), new long[] {4, 3}, new long[] {1, 8}, 0, 'f');
        INDArray late = view(flat, 2, 'f', 4, 3);
        INDArray whole = view(flat, 0, 'f', 4, 3);

        assertThat(parts(flat, Map.of("W", strided), Map.of("W", strided))).as("every second value").isNull();
        assertThat(parts(flat, Map.of("W", wide), Map.of("W", wide))).as("half of each line").isNull();
        assertThat(parts(flat, Map.of("W", late), Map.of("W", late))).as("two values before it").isNull();
        assertThat(parts(flat, Map.of("W", whole), Map.of("W", whole))).as("twelve values after it").isNull();
    }

    @Test
    void sectionsOfAFileBeginAtMultiplesOfSixtyFour() {
        assertThat(new long[] {MappedLayer.aligned(0), MappedLayer.aligned(1), MappedLayer.aligned(64), MappedLayer.aligned(65)})
                .containsExactly(0, 64, 64, 128);
        assertThat(new Section(64, 65).end()).isEqualTo(192);
        INDArray values = Nd4j.arange(0, 17).castTo(DataType.FLOAT);
        FrozenWeights array = FrozenWeights.unregisteredOwn(values, Map.of("W", view(values, 0, 'c', 4, 3), "b",
                view(values, 12, 'c', 1, 5)));
        FrozenWeights quantized = array.quantized(Quantization.INT8, FORM.parts());

        assertThat(MappedLayer.of(array, 128).sections()).containsExactly(new Section(128, 68));
        long first = QuantizedMatrix.bytes(Quantization.INT8, 3, 4);
        MappedLayer layer = MappedLayer.of(quantized, 64);
        assertThat(layer.sections()).containsExactly(new Section(64, first), new Section(MappedLayer.aligned(64 + first), 20));
        assertThat(layer.end()).isEqualTo(MappedLayer.aligned(layer.sections().get(1).offset() + 20));
        assertThat(layer.id()).isEqualTo(quantized.id());
    }

    @Test
    void aHeadersEntryThatLacksSomethingOrHasOtherSectionsIsRefused() {
        List<Section> sections = new ArrayList<>(List.of(new Section(0, 48)));
        for (Runnable damaged : List.<Runnable>of(() -> new MappedLayer(null, "FLOAT W[4,3]", null, Map.of(), sections),
                () -> new MappedLayer("id", null, null, Map.of(), sections),
                () -> new MappedLayer("id", "FLOAT W[4,3]", null, null, sections),
                () -> new MappedLayer("id", "FLOAT W[4,3]", null, Map.of(), null),
                () -> new MappedLayer("id", "FLOAT W[4,3]", null, Map.of(), Arrays.asList((Section) null)))) {
            assertThatIllegalArgumentException().isThrownBy(damaged::run).withMessageContaining("lacks");
        }
        assertThatIllegalArgumentException().isThrownBy(() -> new MappedLayer("id", "FLOAT W[4,3]", null, Map.of(),
                new ArrayList<>(List.of(new Section(0, 49))))).withMessageContainingAll("take [48] bytes", "length=49");
        assertThat(new MappedLayer("id", "FLOAT W[4,3]", null, Map.of(), sections).end()).isEqualTo(64);
    }
}
