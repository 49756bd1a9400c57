package io.github.dl4jlora.internal.file;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.Zips;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.dataset.adapter.SingletonMultiDataSetIterator;
import org.nd4j.linalg.dataset.api.preprocessor.AbstractDataSetNormalizer;
import org.nd4j.linalg.dataset.api.preprocessor.ImagePreProcessingScaler;
import org.nd4j.linalg.dataset.api.preprocessor.MultiDataNormalization;
import org.nd4j.linalg.dataset.api.preprocessor.MultiNormalizerHybrid;
import org.nd4j.linalg.dataset.api.preprocessor.MultiNormalizerMinMaxScaler;
import org.nd4j.linalg.dataset.api.preprocessor.MultiNormalizerStandardize;
import org.nd4j.linalg.dataset.api.preprocessor.Normalizer;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerMinMaxScaler;
import org.nd4j.linalg.dataset.api.preprocessor.NormalizerStandardize;
import org.nd4j.linalg.dataset.api.preprocessor.serializer.CustomSerializerStrategy;
import org.nd4j.linalg.dataset.api.preprocessor.serializer.NormalizerSerializer;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.ObjectOutputStream;
import java.io.OutputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** A normalizer beside a network: DL4J's own types are read as DL4J reads them, and nothing else. */
class StoredNormalizerTest {

    private static boolean customWasMade;

    @TempDir
    private Path folder;
    private Path file;

    @BeforeEach
    void aNetwork() throws IOException {
        file = folder.resolve("model.zip");
        ModelSerializer.writeModel(Networks.trainedLayers(), file.toFile(), false);
        customWasMade = false;
    }

    static Stream<Normalizer<?>> normalizers() {
        List<Normalizer<?>> normalizers = new ArrayList<>(List.of(new ImagePreProcessingScaler(-1, 2),
                new ImagePreProcessingScaler(0, 1, 16)));
        INDArray features = Networks.random(DataType.FLOAT, 1, 7, 3).muli(9);
        for (boolean labels : new boolean[] {false, true}) {
            for (AbstractDataSetNormalizer<?> one : List.of(new NormalizerStandardize(), new NormalizerMinMaxScaler(-2, 3))) {
                one.fitLabel(labels);
                one.fit(new DataSet(features, Networks.random(DataType.FLOAT, 2, 7, 2)));
                normalizers.add(one);
            }
            MultiDataSet data = new MultiDataSet(new INDArray[] {features, Networks.random(DataType.FLOAT, 3, 7, 4)},
                    new INDArray[] {Networks.random(DataType.FLOAT, 4, 7, 2)});
            MultiNormalizerHybrid hybrid = new MultiNormalizerHybrid().standardizeAllInputs().minMaxScaleInput(1, -1, 1);
            MultiNormalizerStandardize standardize = new MultiNormalizerStandardize();
            standardize.fitLabel(labels);
            MultiNormalizerMinMaxScaler minMax = new MultiNormalizerMinMaxScaler(0, 5);
            minMax.fitLabel(labels);
            for (MultiDataNormalization several : List.of(standardize, minMax,
                    labels ? hybrid.minMaxScaleAllOutputs().minMaxScaleOutput(0, -2, 2) : hybrid)) {
                several.fit(new SingletonMultiDataSetIterator(data));
                normalizers.add((Normalizer<?>) several);
            }
        }
        return normalizers.stream();
    }

    @ParameterizedTest
    @MethodSource("normalizers")
    void everyTypeOfDl4jIsReadAsDl4jReadsIt(Normalizer<?> normalizer) throws Exception {
        ModelSerializer.addNormalizerToModel(file.toFile(), normalizer);

        Normalizer<?> read = LoRA.restoreNormalizer(file).orElseThrow();

        assertThat(read).isInstanceOf(normalizer.getClass());
        Normalizer<?> expected = ModelSerializer.restoreNormalizerFromFile(file.toFile());
        assertThat(bytes(read)).isEqualTo(bytes(expected));
    }

    private static byte[] bytes(Normalizer<?> normalizer) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        NormalizerSerializer.getDefault().write(normalizer, bytes);
        return bytes.toByteArray();
    }

    @Test
    void aNetworkWithoutOneHasNone() throws IOException {
        assertThat(LoRA.restoreNormalizer(file)).isEmpty();
    }

    /** A class that its name alone makes run. */
    public static final class Custom extends CustomSerializerStrategy<NormalizerStandardize> {

        /** For whoever makes it by its name. */
        public Custom() {
            customWasMade = true;
        }

        @Override
        public Class<NormalizerStandardize> getSupportedClass() {
            return NormalizerStandardize.class;
        }

        @Override
        public void write(NormalizerStandardize normalizer, OutputStream stream) {
            throw new UnsupportedOperationException();
        }

        @Override
        public NormalizerStandardize restore(InputStream stream) {
            return new NormalizerStandardize();
        }
    }

    /** Writes what a file holds. */
    @FunctionalInterface
    private interface Content {
        void to(DataOutputStream out) throws IOException;
    }

    private void refused(Content content, String... parts) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        content.to(new DataOutputStream(bytes));
        Map<String, byte[]> entries = Zips.read(file);
        entries.put(ModelSerializer.NORMALIZER_BIN, bytes.toByteArray());
        Zips.write(file, entries);

        assertThatThrownBy(() -> LoRA.restoreNormalizer(file)).isInstanceOf(IOException.class)
                .hasMessageContainingAll("model.zip", "normalizer.bin").hasMessageContainingAll(parts);
    }

    @Test
    void aClassThatTheFileNamesIsNotMade() throws IOException {
        refused(out -> {
            begin(out, "CUSTOM");
            out.writeUTF(Custom.class.getName());
        }, "CUSTOM", "names a class to run", "addNormalizerToModel");
        assertThat(customWasMade).isFalse();
    }

    @Test
    void anObjectThatJavaSerialisedIsNotRead() throws IOException {
        refused(out -> new ObjectOutputStream(out).writeObject(HostileObject.nested(5)), "serialised Java object", "never read");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"IMAGE_VGG16 | unknown", "NOTHING | unknown", "STANDARDIZE | ends early",
            "MULTI_STANDARDIZE | ends early"})
    void otherTypesAndCutOnesAreRefused(String type, String why) throws IOException {
        refused(out -> begin(out, type), why);
    }

    /** Whatever its last value is: the end of an array, of a number, of a list. */
    @ParameterizedTest
    @MethodSource("normalizers")
    void whatIsCutOffIsNoNormalizer(Normalizer<?> normalizer) throws IOException {
        byte[] whole = bytes(normalizer);
        for (int length = whole.length - 1; length > 0; length = length > whole.length - 40 ? length - 1 : length * 3 / 4) {
            byte[] cut = Arrays.copyOf(whole, length);
            refused(out -> out.write(cut), "cannot be read");
        }
    }

    @Test
    void anArrayWhoseValuesEndEarlyIsRefused() throws IOException {
        refused(out -> {
            begin(out, "STANDARDIZE");
            out.writeBoolean(false);
            out.write(HostileFile.header("FLOAT", 5));
            out.write(new byte[16]);
        }, "its values end early");
    }

    @Test
    void arraysOfMoreThanIsThereAreNotMade() throws IOException {
        refused(out -> {
            begin(out, "STANDARDIZE");
            out.writeBoolean(false);
            out.write(HostileFile.header("FLOAT", 1L << 40));
        }, "1099511627776 values");
        refused(out -> {
            begin(out, "MULTI_MIN_MAX");
            out.writeBoolean(false);
            out.writeInt(Integer.MAX_VALUE);
        }, "2147483647 inputs");
    }

    @Test
    void shapesThatDoNotFitTheValuesAreRefused() throws IOException {
        byte[] header = HostileFile.header("FLOAT", 4);
        // The second size, after "LONG_SHAPE", 8, "LONG", rank and the first.
        Arrays.fill(header, 12 + 8 + 6 + 16, 12 + 8 + 6 + 24, (byte) 0x7f);
        refused(out -> {
            begin(out, "STANDARDIZE");
            out.writeBoolean(false);
            out.write(header);
            out.write(new byte[16]);
        }, "declares 4 values");
    }

    private static void begin(DataOutputStream out, String type) throws IOException {
        out.writeUTF("NORMALIZER");
        out.writeInt(1);
        out.writeUTF(type);
    }
}
